"""The parts of ``rl_report.md`` that compare: who wins, ties and loses, and the lists themselves side by side."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from fvrec.imaging import ImageError, read_image
from fvrec.records import CurvePoint, Item, Metric, Ranking
from fvrec.report_tables import choose

LISTS, TRADE_OFFS = "rl_report_lists.png", "rl_report_curves.png"
SIDE_BY_SIDE = ("base_rank", "mmr", "denoised_swap", "rl")
USERS_SHOWN = 10
UNLEARNT = frozenset({"base_rank", "mmr", "msd", "dpp", "ssd", "random"})
"""Rankers that learn nothing: to lose to them says that what was learnt does not hold."""
_SIDE, _DPI = 56, 100


@dataclass(frozen=True)
class Verdicts:
    """The rankers that the policy beats, ties with and loses to, by intervals of paired true reward."""

    wins: tuple[str, ...]
    ties: tuple[str, ...]
    losses: tuple[str, ...]

    @property
    def unlearnt(self) -> tuple[str, ...]:
        """The rankers without any learning that the policy loses to."""
        return tuple(name for name in self.losses if name in UNLEARNT)


def verdicts(rows: Sequence[Metric]) -> Verdicts:
    """rows: the stage's metrics of one mode. A win (loss) is an interval wholly above (below) zero."""
    found: dict[str, list[str]] = {"wins": [], "ties": [], "losses": []}
    for row in choose(rows, "true_reward_difference"):
        against = str(row.params.get("against", ""))
        if row.strategy != "rl" or against == "oracle" or row.ci_low is None or row.ci_high is None:
            continue
        found["wins" if row.ci_low > 0 else "losses" if row.ci_high < 0 else "ties"].append(against)
    return Verdicts(*(tuple(names) for names in found.values()))


@dataclass(frozen=True)
class OwnSetting:
    """The policy's own lambda = mu, the share of Base's NDCG kept there on val, and the share that was asked."""

    weight: float
    kept: float
    asked: float

    @property
    def holds(self) -> bool:
        """Whether so much is kept."""
        return self.kept >= self.asked


def own_setting(rows: Sequence[Metric]) -> OwnSetting | None:
    """As the stage recorded it; None for a run that did not choose one."""
    weight, kept = choose(rows, "own_weight"), choose(rows, "own_weight_ndcg_kept")
    if not weight or not kept:
        return None
    return OwnSetting(weight[0].value, kept[0].value, float(kept[0].params["asked"]))


def lists_by_user(rankings: Iterable[Ranking]) -> dict[str, dict[str, list[str]]]:
    """user -> strategy -> item ids, best first; the first ``USERS_SHOWN`` users and ``SIDE_BY_SIDE`` alone."""
    found: dict[str, dict[str, list[str]]] = {}
    for row in sorted(rankings, key=lambda one: (one.query_id, one.position)):
        if row.strategy in SIDE_BY_SIDE:
            found.setdefault(row.query_id, {}).setdefault(row.strategy, []).append(row.item_id)
    return dict(list(found.items())[:USERS_SHOWN])


def render_rl(
    curves: Sequence[CurvePoint], rankings: Iterable[Ranking], items: Mapping[str, Item], root: Path
) -> dict[str, bytes]:
    """File name in ``reports/`` -> PNG. The same rows and photos give the same bytes."""
    return {TRADE_OFFS: trade_off_plot(curves), LISTS: lists_sheet(lists_by_user(rankings), items, root)}


def trade_off_plot(curves: Sequence[CurvePoint]) -> bytes:
    """Left: NDCG against ILD as a trade-off is swept. Right: reward over the steps of PPO, as judged and as sampled."""
    figure = Figure(figsize=(11, 4.2), layout="constrained")
    left, right = figure.subplots(1, 2)
    own = [point for point in curves if point.stage == "rl"]
    for name in sorted({point.curve for point in own if point.curve.endswith("_tradeoff")}):
        points = sorted((p.x, p.y) for p in own if p.curve == name)
        left.plot(*zip(*points, strict=True), marker="o", markersize=3, label=name.removesuffix("_tradeoff"))
    left.set(xlabel="NDCG", ylabel="ILD")
    for name, label in (("policy_learning", "lists as sampled, lambda and mu drawn"), ("policy_judged", "judged")):
        points = sorted((p.x, p.y) for p in own if p.curve == name)
        if points:
            right.plot(*zip(*points, strict=True), marker=".", label=label)
    right.set(xlabel="steps", ylabel="true reward per list")
    for axes in (left, right):
        if axes.get_legend_handles_labels()[0]:
            axes.legend(frameon=False, fontsize=8)
    return _png(figure)


def lists_sheet(lists: Mapping[str, Mapping[str, Sequence[str]]], items: Mapping[str, Item], root: Path) -> bytes:
    """A block for each user, in it a row of photos for each strategy, best first."""
    rows = [(user, name, own[name]) for user, own in lists.items() for name in SIDE_BY_SIDE if name in own]
    longest = max((len(chosen) for *_, chosen in rows), default=1)
    figure = Figure(figsize=(0.8 * longest + 1.6, 0.85 * max(len(rows), 1)))
    panels = figure.subplots(max(len(rows), 1), 1, squeeze=False).ravel()
    figure.subplots_adjust(left=0.12, right=0.99, top=0.99, bottom=0.01)
    for axes in panels:
        axes.set(xticks=[], yticks=[])
        axes.set_frame_on(False)
    for axes, (user, name, chosen) in zip(panels, rows, strict=False):
        axes.imshow(_strip([_photo(items.get(item_id), root) for item_id in chosen], longest))
        axes.set_ylabel(f"{user}\n{name}", rotation=0, ha="right", va="center", fontsize=6)
    if not rows:
        figure.suptitle("no list has been kept yet")
    return _png(figure)


def _strip(photos: Sequence[Image.Image], longest: int) -> Image.Image:
    strip = Image.new("RGB", (longest * (_SIDE + 4), _SIDE), "white")
    for place, photo in enumerate(photos):
        strip.paste(photo, (place * (_SIDE + 4), 0))
    return strip


def _photo(item: Item | None, root: Path) -> Image.Image:
    blank = Image.new("RGB", (_SIDE, _SIDE), "lightgray")
    if item is None:
        return blank
    try:
        return read_image(root / item.image_path, at_least=_SIDE).convert("RGB").resize((_SIDE, _SIDE))
    except ImageError:  # the photo is gone: its place still says that something was listed
        return blank


def _png(figure: Figure) -> bytes:
    FigureCanvasAgg(figure)
    file = BytesIO()
    figure.savefig(file, format="png", dpi=_DPI, metadata={"Software": None})
    return file.getvalue()
