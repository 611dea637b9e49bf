"""The page's words in English and Chinese. Names of fields and values come from the library's word lists."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from app.page_words import PAGE_WORDS
from fvrec import vocab
from fvrec.schema import UNKNOWN

if TYPE_CHECKING:
    from fvrec.rerank.constraints import Language

_SHOP: Mapping[str, Mapping[Language, str]] = {
    "tagline": {
        "en": "Say what you are looking for. Every suggestion tells you why it is there.",
        "zh": "说出想要的款式，每条推荐都说明理由。",
    },
    "ask": {"en": "What are you looking for?", "zh": "想找什么？"},
    "placeholder": {
        "en": "e.g. a long-sleeved blue dress for a holiday, not floral",
        "zh": "例如：蓝色长袖度假连衣裙，不要碎花",
    },
    "examples": {"en": "For example", "zh": "试试"},
    "language": {"en": "Language", "zh": "语言"},
    "picture": {"en": "Reference picture", "zh": "参考图"},
    "picture_help": {
        "en": "Products that look like your picture move up. JPEG, PNG or WEBP, at most 10 MB.",
        "zh": "与参考图相似的商品会排在前面。支持 JPEG、PNG、WEBP，不超过 10 MB。",
    },
    "picture_used": {"en": "Your reference picture", "zh": "您的参考图"},
    "source": {"en": "Catalogue", "zh": "商品库"},
    "model": {"en": "Model", "zh": "模型"},
    "model_help": {
        "en": "Which model read the attributes from the photos: Base was never trained for it, SFT and LoRA were.",
        "zh": "由哪个模型读取商品属性：Base 未经训练，SFT 与 LoRA 经过微调。",
    },
    "strategy": {"en": "Strategy", "zh": "排序策略"},
    "strategy_help": {
        "en": "Base: best match first. MMR: trades some match for variety. RL: a trained policy composes the list; "
        "items change places where that gains.",
        "zh": "Base：按匹配度排序。MMR：兼顾多样性。RL：由训练好的策略逐个挑选，再作有益的交换。",
    },
    "k": {"en": "How many", "zh": "展示数量"},
    "understood": {"en": "Understood", "zh": "已理解"},
    "nothing_understood": {
        "en": "No attribute was recognised; the list goes by titles alone.",
        "zh": "没有识别出属性要求，仅按标题相似度排序。",
    },
    "soft": {"en": "if possible", "zh": "尽量"},
    "not_understood": {"en": "not understood: {what}", "zh": "没有理解：{what}"},
    "ild": {"en": "Diversity (ILD@{k})", "zh": "多样性（ILD@{k}）"},
    "ild_help": {
        "en": "Mean visual distance between the products shown, 0 = all alike.",
        "zh": "所展示商品两两之间的平均视觉距离，0 表示完全相同。",
    },
    "coverage": {"en": "Coverage@{k}", "zh": "覆盖率（coverage@{k}）"},
    "coverage_help": {
        "en": "Different attribute values shown, as a share of what a list of this length could show.",
        "zh": "所展示的不同属性值，占同样长度列表最多可展示的比例。",
    },
    "choice": {"en": "Chosen from", "zh": "候选商品"},
    "choice_help": {
        "en": "Products that the model was not trained on and has read.",
        "zh": "模型训练时未见过、并已读取属性的商品。",
    },
    "versus_base": {"en": "vs Base", "zh": "对比 Base"},
    "nothing_read": {
        "en": "**{model}** has written no valid answer for these {n} products: it was never trained to. All attributes "
        "are unknown and the list goes by titles alone. Choose **LoRA** to see the difference.",
        "zh": "**{model}** 没有为这 {n} 件商品写出合法的属性 JSON（它没有为此训练过）。"
        "所有属性都是未知，列表仅按标题排序。切换到 **LoRA** 看看区别。",
    },
    "partly_read": {
        "en": "{bad} of {n} products have no valid answer of this model: their attributes are unknown.",
        "zh": "{n} 件商品中有 {bad} 件没有合法的属性 JSON，其属性视为未知。",
    },
    "why": {"en": "Why", "zh": "推荐理由"},
    "details": {"en": "Attributes and JSON", "zh": "属性与 JSON"},
    "attribute": {"en": "Attribute", "zh": "属性"},
    "value": {"en": "Value", "zh": "值"},
    "confidence": {"en": "Confidence", "zh": "置信度"},
    "raw_output": {"en": "What the model wrote", "zh": "模型输出原文"},
    "invalid_output": {"en": "Not valid: {error}", "zh": "不合法：{error}"},
    "no_photo": {"en": "The photo cannot be shown.", "zh": "图片无法显示。"},
    "photo_of": {"en": "Photo of {title}", "zh": "商品图：{title}"},
    "searching": {"en": "Looking for the best list …", "zh": "正在挑选……"},
    "empty": {
        "en": "Type a wish above, choose an example, or add a reference picture.",
        "zh": "在上方输入要求、选择示例，或上传参考图。",
    },
    "page_shop": {"en": "Shop", "zh": "选购"},
    "page_extraction": {"en": "Extraction", "zh": "属性抽取"},
    "page_trade_off": {"en": "Trade-off", "zh": "相关与多样"},
    "page_catalogue": {"en": "Catalogue", "zh": "商品库"},
    "page_sql": {"en": "SQL", "zh": "SQL"},
    "page_runs": {"en": "Runs", "zh": "运行记录"},
    "diversity": {"en": "Diversity λ", "zh": "多样性 λ"},
    "diversity_help": {
        "en": "0: relevance alone. 1: as varied as the list can be. MMR and RL answer every position; Base has none.",
        "zh": "0：只看相关。1：尽量多样。MMR 与 RL 随之变化，Base 不受影响。",
    },
    "options": {"en": "Model, length", "zh": "模型与数量"},
    "view": {"en": "View", "zh": "显示方式"},
    "view_list": {"en": "List", "zh": "列表"},
    "view_compare": {"en": "Base | MMR | RL", "zh": "Base | MMR | RL"},
    "view_feed": {"en": "One by one", "zh": "逐个看"},
    "start_over": {"en": "Start over", "zh": "重新开始"},
    "drop_picture": {"en": "Remove the picture", "zh": "移除参考图"},
    "strike": {"en": "Remove this wish", "zh": "去掉这条要求"},
    "ignore": {"en": "Never mind these words", "zh": "忽略这些词"},
    "more_like": {"en": "More like this", "zh": "找相似"},
    "evidence": {"en": "Where was it read?", "zh": "依据在哪？"},
    "evidence_field": {"en": "Attribute", "zh": "属性"},
    "evidence_none": {"en": "Choose an attribute", "zh": "选择属性"},
    "evidence_missing": {
        "en": "The model's files are not here: `fvrec run` makes them.",
        "zh": "模型文件不在这里：用 `fvrec run` 生成。",
    },
    "evidence_of": {"en": "Where {field} was read on {title}", "zh": "{title}：{field} 的判断依据"},
    "feed_help": {
        "en": "One product at a time. Every answer re-ranks what is left.",
        "zh": "一次看一件，每次回答都会重新排序剩下的商品。",
    },
    "feed_count": {"en": "{liked} liked, {skipped} skipped", "zh": "喜欢 {liked} 件，跳过 {skipped} 件"},
    "feed_end": {"en": "That was everything for this wish.", "zh": "这个要求下的商品已经看完。"},
    "feed_again": {"en": "From the beginning", "zh": "从头再看"},
    "like": {"en": "Like", "zh": "喜欢"},
    "skip": {"en": "Skip", "zh": "跳过"},
    "liked": {"en": "Liked so far", "zh": "喜欢的商品"},
    "broken": {
        "en": "Something went wrong on our side. The log of this page has the details; another request may well work.",
        "zh": "页面出错了，详情见日志。可以换个要求再试。",
    },
}

WORDS: Mapping[str, Mapping[Language, str]] = {**_SHOP, **PAGE_WORDS}

EXAMPLES: Mapping[Language, tuple[str, ...]] = {
    "en": ("a long-sleeved blue dress, not floral", "casual cotton t-shirt for men", "black formal shoes"),
    "zh": ("蓝色长袖连衣裙，不要碎花", "男士休闲纯棉T恤", "黑色正装鞋"),
}
MODEL_NAMES: Mapping[str, str] = {"base": "Base", "sft": "SFT", "lora": "LoRA"}
STRATEGY_NAMES: Mapping[str, str] = {"base_rank": "Base", "mmr": "MMR", "rl": "RL"}
LANGUAGE_NAMES: Mapping[Language, str] = {"en": "English", "zh": "中文"}


def say(key: str, language: Language, **values: object) -> str:
    """The page's text of that name, with its places filled in."""
    return WORDS[key][language].format(**values)


def field_word(field: str, language: Language) -> str:
    """What people call a field."""
    return str(vocab.load("words")["fields"][field][language][0])


def value_word(field: str, value: str, language: Language) -> str:
    """What people call a value of a field."""
    if value == UNKNOWN:
        return {"en": "unknown", "zh": "未知"}[language]
    return str(vocab.load("words")["values"][field][value][language][0])
