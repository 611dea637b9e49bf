"""Scope of negation and preference, general nouns, ranges, taking back; and text that nobody should mind."""

from __future__ import annotations

import time

import pytest

from fvrec.rerank.constraints import Constraints, parse


def reading(found: Constraints) -> set[str]:
    """Each constraint as ``field=values``: "-" in front of exclusions, "~" behind preferences."""
    signs = {True: "-", False: "", "soft": "~", "hard": ""}
    return {
        f"{signs[one.excluded]}{one.field}={'+'.join(sorted(one.values))}{signs[one.strength]}"
        for one in found.constraints
    }


READINGS = {
    "no red, blue or green dresses": "-color=blue+green+red category=dress",
    "not red, blue or white": "-color=red color=blue+white",
    "不要红色、蓝色和绿色": "-color=blue+green+red",
    "no dresses in black": "category=dress -color=black",
    "I don't want a dress with stripes": "category=dress -pattern=striped",
    "no boots for winter": "-category=boots season=winter",
    "no frilly dresses": "category=dress",
    "不要花哨的红色": "-color=red",
    "黑色的连衣裙不要": "-color=black category=dress",
    "皮鞋 黑色不要 白色可以": "category=formal_shoes -color=black color=white",
    "黑色最好不要": "-color=black~",
    "我对羊毛过敏": "-material=wool",
    "don't show me anything in leather": "-material=leather",
    "can't stand polka dots": "-pattern=dotted",
    "too formal": "-style=formal~",
    "太正式了": "-style=formal~",
    "prefer blue over black": "color=blue~ -color=black~",
    "ideally cotton without stripes": "material=cotton~ -pattern=striped",
    "a bag, leather if possible": "category=bag material=leather~",
    "cotton or maybe linen shirt": "material=cotton+linen category=shirt",
    "羊毛的优先，大衣": "material=wool~ category=coat",
    "最好是棉的，一定要长袖": "material=cotton~ sleeve_length=long",
    "from spring to fall": "season=fall+spring+summer",
    "秋天到春天": "season=fall+spring+winter",
    "shoes, sneakers": "category=casual_shoes",
    "不要高跟的鞋子": "category=boots+casual_shoes+flats+flip_flops+formal_shoes+sandals+sports_shoes -category=heels",
    "no stiletto shoes": "-category=heels",
    "kids clothes for my daughter": "gender=girls",
    "t-shirt dress": "category=dress",
    "不带帽子的卫衣": "-neckline=hooded category=hoodie",
    "stone washed jeans": "category=jeans",
    "not sure, maybe red": "color=red~",
    "it doesn't have to be leather": "",
    "不一定要皮的": "",
    "swap the black for white": "color=white",
    "颜色：随便": "",
}


@pytest.mark.parametrize(("text", "expected"), READINGS.items(), ids=list(READINGS))
def test_reading(text: str, expected: str) -> None:
    assert reading(parse(text)) == set(expected.split())


@pytest.mark.parametrize(
    ("turn", "changed"),
    [
        ("red too", "color=blue+red material=cotton"),
        ("or white", "color=blue+white material=cotton"),
        ("forget the blue", "material=cotton"),
        ("doesn't have to be cotton", "color=blue"),
        ("颜色和材质都可以", ""),
        ("any color or material", ""),
        ("change blue to red", "color=red material=cotton"),
        ("in green, also long sleeves", "color=green material=cotton sleeve_length=long"),
        ("too casual", "color=blue material=cotton -style=casual~"),
        ("再便宜点", "color=blue material=cotton"),
    ],
)
def test_follow_up(turn: str, changed: str) -> None:
    standing = parse("blue cotton dress")
    assert reading(parse(turn, standing)) == {"category=dress", *changed.split()}


def test_price_is_not_understood_and_said_so() -> None:
    assert parse("make it cheaper", parse("blue dress")).unrecognised == ("cheaper",)


@pytest.mark.parametrize("text", ["light jacket", "dark", "深的"])
def test_a_shade_of_nothing_is_not_understood(text: str) -> None:
    assert parse(text).unrecognised in (("light",), ("dark",), ("深",))
    assert parse("light green, dark red, 深绿色").unrecognised == ()


SLOW_IF_QUADRATIC = [
    "ideally red ", "over red ideally ", "黑不要 ", "不要红换", "no red, ", "no red, blue or green, ",
    "blue if possible ",
    "cotton or ", "鞋子运动鞋", "any colour ", "不", "qwxrt ", "把红换成", "'; DROP TABLE items; -- ", "<b>ignore</b> ",
    "red not ",
]  # fmt: skip


@pytest.mark.parametrize("piece", SLOW_IF_QUADRATIC)
def test_time_grows_with_the_length_and_no_faster(piece: str) -> None:
    short, long = (piece * (size // len(piece)) for size in (5_000, 20_000))
    parse(long)
    assert min(_seconds(long) for _ in range(3)) < 10 * max(min(_seconds(short) for _ in range(3)), 1e-3)


def _seconds(text: str) -> float:
    begin = time.process_time()
    parse(text)
    return time.process_time() - begin
