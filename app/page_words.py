"""Words of the pages beside the shop, in English and Chinese."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fvrec.rerank.constraints import Language

PAGE_WORDS: Mapping[str, Mapping[Language, str]] = {
    "no_items": {
        "en": "There is no catalogue yet: `fvrec ingest` reads one in.",
        "zh": "还没有商品库：用 `fvrec ingest` 导入。",
    },
    "leaderboard": {"en": "Which model reads best?", "zh": "哪个模型读得最好？"},
    "no_extraction": {
        "en": "No model has been scored yet: `fvrec run` (or `fvrec extract`) does it.",
        "zh": "还没有模型评测结果：运行 `fvrec run`（或 `fvrec extract`）。",
    },
    "variant": {"en": "Model · input · decoding", "zh": "模型 · 输入 · 解码"},
    "confusion": {"en": "Confusions", "zh": "混淆矩阵"},
    "reliability": {"en": "Reliability", "zh": "可靠性"},
    "failures": {"en": "Failures", "zh": "失败样例"},
    "no_confusion": {
        "en": "No confusion matrix was kept for this variant: choose another, or run `fvrec extract`.",
        "zh": "该变体没有混淆矩阵：换一个，或运行 `fvrec extract`。",
    },
    "predicted": {"en": "read as", "zh": "读成"},
    "no_answer": {"en": "(no valid answer)", "zh": "（无有效回答）"},
    "true": {"en": "is", "zh": "实为"},
    "share": {"en": "share of the row", "zh": "行内占比"},
    "confusion_alt": {"en": "Confusion heat map of {field}", "zh": "{field} 的混淆热图"},
    "no_reliability": {
        "en": "No reliability diagram was kept for this variant: choose another, or run `fvrec extract`.",
        "zh": "该变体没有可靠性曲线：换一个，或运行 `fvrec extract`。",
    },
    "right": {"en": "share right", "zh": "正确比例"},
    "reliability_alt": {"en": "Share of right answers against confidence", "zh": "置信度与正确比例"},
    "no_failures": {"en": "No failed answer.", "zh": "没有失败的回答。"},
    "class": {"en": "Kind of failure", "zh": "失败类型"},
    "try_photo": {"en": "Try a photo of your own", "zh": "试试自己的照片"},
    "title": {"en": "Title (optional)", "zh": "标题（可选）"},
    "photo": {"en": "Product photo", "zh": "商品照片"},
    "your_photo": {"en": "Your photo", "zh": "您的照片"},
    "reading": {"en": "Reading the photo …", "zh": "正在读取照片……"},
    "parse_ok": {"en": "The strict parser accepts it.", "zh": "严格解析通过。"},
    "constrained_output": {"en": "Chosen within the schema", "zh": "受模式约束的输出"},
    "trade_off_help": {
        "en": "Each point is a way to order lists: right: more relevant, up: more varied. Click one, or choose below.",
        "zh": "每个点是一种排序方式：越靠右越相关，越靠上越多样。点击或在下方选择。",
    },
    "no_trade_off": {
        "en": "No list policy has been compared yet: `fvrec run` (or `fvrec rl`) does it.",
        "zh": "还没有比较过列表策略：运行 `fvrec run`（或 `fvrec rl`）。",
    },
    "trade_off_alt": {"en": "NDCG against ILD, a curve or point a strategy", "zh": "各策略的 NDCG 与 ILD"},
    "point": {"en": "Point", "zh": "点"},
    "behind": {"en": "The list behind it", "zh": "对应的列表"},
    "request": {"en": "Request", "zh": "请求"},
    "no_list": {"en": "No list of this strategy was kept.", "zh": "没有保存该策略的列表。"},
    "trade_off_wish": {"en": "a summer dress for women", "zh": "女士夏季连衣裙"},
    "products": {"en": "Products", "zh": "商品"},
    "spread": {"en": "Distributions", "zh": "属性分布"},
    "quarantine": {"en": "Quarantine", "zh": "隔离区"},
    "no_quarantine": {"en": "Nothing was rejected.", "zh": "没有被拒绝的数据。"},
    "title_has": {"en": "Title contains", "zh": "标题包含"},
    "filter_by": {"en": "Filter by", "zh": "筛选"},
    "any": {"en": "Any", "zh": "不限"},
    "found": {"en": "{n} products", "zh": "{n} 件商品"},
    "page": {"en": "Page", "zh": "页"},
    "items": {"en": "items", "zh": "商品数"},
    "spread_alt": {"en": "Items by {field}", "zh": "按{field}统计的商品数"},
    "sql_help": {
        "en": "One read-only query on the published snapshot: at most {rows} rows, {seconds} s, no other file.",
        "zh": "对已发布快照的一条只读查询，最多 {rows} 行、{seconds} 秒，不能访问其他文件。",
    },
    "sql_examples": {"en": "Questions", "zh": "问题示例"},
    "sql_choose": {"en": "Choose a view", "zh": "选择视图"},
    "sql_run": {"en": "Run", "zh": "运行"},
    "sql_result": {"en": "Rows of the query", "zh": "查询结果"},
    "sql_rows": {"en": "{rows} rows", "zh": "{rows} 行"},
    "sql_more": {"en": "The first {rows} rows; there are more.", "zh": "仅显示前 {rows} 行。"},
    "columns": {"en": "Tables, views and what their columns mean", "zh": "表、视图与各列含义"},
    "no_runs": {
        "en": "Nothing has run yet: `fvrec run` is the whole loop.",
        "zh": "还没有运行记录：`fvrec run` 执行完整流程。",
    },
    "stage": {"en": "Stage", "zh": "阶段"},
    "run": {"en": "Configuration of run", "zh": "运行配置"},
    "prefect_ui": {"en": "Open the Prefect UI", "zh": "打开 Prefect 界面"},
    "no_prefect": {
        "en": "No Prefect server answers at {address}: `fvrec serve` starts one with its UI.",
        "zh": "{address} 没有 Prefect 服务：用 `fvrec serve` 启动。",
    },
}
