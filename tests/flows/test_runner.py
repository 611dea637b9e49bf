"""The same stages by every runner: here, in threads, and on a Ray cluster that loses a machine."""

from __future__ import annotations

import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import psutil
import pytest

from fvrec import config
from fvrec.artifacts import digest_bytes
from fvrec.config import Settings
from fvrec.errors import FvrecError
from fvrec.vlm.features import FeatureCache
from fvrec.vlm.towers import load_tower
from tasks.check import check_settings
from tests.e2e.processes import free_port
from warehouse.read import Warehouse

ROOT = Path(__file__).resolve().parents[2]
STORE = 80 << 20
SENTENCE = "this shard cannot be done; where: shard; found: 5; allowed: another one"
COMMAND = "FVREC_CLUSTER=1 python -m pytest tests/flows/test_runner.py"
on_request = pytest.mark.skipif(
    os.environ.get("FVREC_CLUSTER") != "1", reason=f"starts a Ray cluster, which takes minutes: {COMMAND}"
)


@pytest.fixture(scope="module")
def small_preset() -> Iterator[str]:
    """``smoke`` with a quarter of the items: what is compared is what runners do of it."""
    smoke = config.PRESETS["smoke"]
    training = replace(smoke.training, pretrain_epochs=15)
    small = replace(smoke, name="nano", embedded_items=60, training=training)
    patch = pytest.MonkeyPatch()
    patch.setattr(config, "PRESETS", MappingProxyType({**config.PRESETS, "nano": small}))
    yield small.name
    patch.undo()


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory, small_preset: str, prefect_home: Path) -> Settings:
    from tests.flows.sharded import sharded

    settings = Settings(root=tmp_path_factory.mktemp("local"), preset=small_preset)
    sharded(settings)
    return settings


@pytest.fixture(scope="module")
def cluster(prefect_home: Path) -> Iterator[Any]:
    """Three machines of one core and a head without any, as far as Ray can tell. ``address``: the client port."""
    import ray
    from ray.cluster_utils import Cluster

    with pytest.MonkeyPatch.context() as patch:
        # Workers import what this process does: the packages, and the tests' own flows.
        patch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]))
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        # Ray's own 15 lets whatever else runs on the machine go first: a test then takes minutes.
        patch.setenv("RAY_worker_niceness", "0")
        port = free_port()
        head = {"num_cpus": 0, "object_store_memory": STORE, "include_dashboard": False, "ray_client_server_port": port}
        made: Any = Cluster(initialize_head=True, head_node_args=head)
        try:
            for _ in range(3):
                made.add_node(num_cpus=1, object_store_memory=STORE)
            made.client = f"ray://127.0.0.1:{port}"
            patch.setenv("FVREC_RAY_CLUSTER", made.client)
            yield made
        finally:
            ray.shutdown()
            made.shutdown()


class Watcher(threading.Thread):
    """Kills one machine of the cluster as soon as ``choose`` names one."""

    def __init__(self, cluster: Any, choose: Callable[[], Any | None]) -> None:
        super().__init__(daemon=True)
        self._cluster, self._choose = cluster, choose
        self.killed = False
        self.start()

    def run(self) -> None:
        deadline = time.monotonic() + 400
        while time.monotonic() < deadline:
            if (node := self._choose()) is not None:
                self._kill(node)
                self.killed = True
                return
            time.sleep(0.02)

    def _kill(self, node: Any) -> None:
        """All of the machine at once. Ray's ``remove_node`` leaves workers behind that finish the shard they are at."""
        raylet = psutil.Process(node.all_processes["raylet"][0].process.pid)
        workers = raylet.children(recursive=True)
        raylet.suspend()  # so that it sends no word of the workers' end
        for worker in workers:
            with suppress(psutil.NoSuchProcess):
                worker.kill()
        self._cluster.remove_node(node, allow_graceful=False)


def made(settings: Settings) -> dict[str, Mapping[str, str]]:
    """stage -> path or relation -> digest, as the manifests say."""
    from fvrec.artifacts import Manifest

    names = ("ingest", "features", "pretrain", "extract_base", "judged")
    found = {name: Manifest.read(settings.manifests / f"{name}.json") for name in names}
    return {name: {**one.outputs, **one.warehouse} for name, one in found.items() if one is not None}


def cached(settings: Settings) -> dict[str, str]:
    """photo -> digest of its features; every photo is in one shard alone, and every shard has its index."""
    folder = settings.cache / "features"
    cache = FeatureCache(folder, load_tower("lite0"))
    photos = [item.image_sha256 for item in Warehouse(settings.database).items("embedded")]
    rows = sum(len(np.load(shard)) for shard in cache.directory.glob("*.npy"))
    assert rows == len(set(photos))
    assert len(list(cache.directory.glob("*.npy"))) == len(list(cache.directory.glob("*.json")))
    return {photo: digest_bytes(cache.rows([photo]).tobytes()) for photo in photos}


def answers(settings: Settings) -> list[Any]:
    warehouse = Warehouse(settings.database)
    run = warehouse.latest_run("extract_base", "embedded")
    assert run is not None
    return sorted(warehouse.predictions(run.run_id), key=lambda one: (one.item_id, one.inputs, one.mode))


def compare(settings: Settings, local: Settings) -> None:
    assert made(settings) == made(local)
    assert cached(settings) == cached(local)
    assert answers(settings) == answers(local)
    assert list(settings.cache.glob("*readings*")) == []


def begun_again(local: Settings, root: Path, runner: str) -> Settings:
    """The local run's root with its training alone: what runners do is to be done again."""
    settings = local.model_copy(update={"root": root, "runner": runner})
    shutil.copytree(local.root, root, dirs_exist_ok=True)
    shutil.rmtree(settings.cache)
    for name in ("ingest", "features", "extract_base", "judged"):
        (settings.manifests / f"{name}.json").unlink()
    return settings


@pytest.mark.slow
def test_threads_make_what_this_process_makes(local: Settings, tmp_path: Path) -> None:
    from tests.flows.sharded import sharded

    settings = begun_again(local, tmp_path, "threads")
    results = {one.stage: one.reused for one in sharded(settings)}
    # The training stands on the same digests, so it is not done again.
    assert results == dict.fromkeys(("ingest", "features", "extract_base", "judged"), False) | {"pretrain": True}
    compare(settings, local)


@on_request
@pytest.mark.slow
def test_a_cluster_that_loses_a_machine_makes_the_same(local: Settings, cluster: Any, tmp_path: Path) -> None:
    from tests.flows.sharded import sharded

    settings = begun_again(local, tmp_path, cluster.client)
    shards = settings.cache / "features"
    watcher = Watcher(
        cluster, lambda: next(iter(cluster.worker_nodes)) if next(shards.glob("*/*.json"), None) else None
    )
    results = {one.stage: one.reused for one in sharded(settings)}
    assert watcher.killed
    assert results == dict.fromkeys(("ingest", "features", "extract_base", "judged"), False) | {"pretrain": True}
    compare(settings, local)


@on_request
@pytest.mark.slow
def test_the_shard_of_a_lost_machine_is_done_again_and_counted_once(cluster: Any, tmp_path: Path) -> None:
    from tests.flows.sharded import SHARDS, Slow, slow

    while len(cluster.worker_nodes) < 3:
        cluster.add_node(num_cpus=1, object_store_memory=STORE)
    nodes = {node.node_id: node for node in cluster.worker_nodes}

    def at_work() -> Any | None:
        mark = next(Slow(0, tmp_path).begun, None)
        return None if mark is None else nodes[mark.name.rpartition("-")[2]]

    watcher = Watcher(cluster, at_work)
    with pytest.raises(FvrecError) as caught:
        slow(Settings(root=tmp_path, runner=cluster.client))
    assert str(caught.value) == SENTENCE
    assert watcher.killed
    assert (tmp_path / "found.json").read_text() == str(list(range(SHARDS)))
    begun = {number: len(list(Slow(number, tmp_path).begun)) for number in range(SHARDS)}
    assert begun == {number: 2 if number == 0 else 1 for number in range(SHARDS)}
    assert all((tmp_path / f"{number}.done").exists() for number in range(SHARDS))


@pytest.mark.usefixtures("prefect_home")
def test_a_shard_fails_with_the_sentence_that_it_would_have_here(tmp_path: Path) -> None:
    from tests.flows.sharded import refused, slow

    with pytest.raises(FvrecError) as here:
        refused(5)
    with pytest.raises(FvrecError) as caught:
        slow(Settings(root=tmp_path, runner="threads"))
    assert str(caught.value) == str(here.value) == SENTENCE


@pytest.mark.parametrize("runner", ["dask", "ray://", "ray://head", "ray://head:0", "ray://:10001", "threads://a:1"])
def test_an_unknown_runner_is_one_sentence(runner: str, tmp_path: Path) -> None:
    with pytest.raises(FvrecError, match=r"unknown runner; where: --runner; .*allowed: local, threads, ray"):
        check_settings(Settings(root=tmp_path, runner=runner))


def test_an_address_where_nobody_listens_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runner = f"ray://127.0.0.1:{free_port()}"
    monkeypatch.setenv("FVREC_RAY_CLUSTER", runner)
    monkeypatch.setattr("tasks.check.find_spec", lambda name: object())
    with pytest.raises(FvrecError, match=r"no Ray cluster answers there: .*where: --runner"):
        check_settings(Settings(root=tmp_path, runner=runner))


def test_without_ray_the_sentence_says_how_to_install_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tasks.check.find_spec", lambda name: None)
    with pytest.raises(FvrecError, match=r"not installed; .*pip install 'fvrec\[ray\]'"):
        check_settings(Settings(root=tmp_path, runner="ray"))
