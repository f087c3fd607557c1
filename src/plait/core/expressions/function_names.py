"""The names that functions have in other languages, each with ours that may be meant."""

from __future__ import annotations

from .functions import FUNCTIONS

_OTHERS: dict[tuple[str, ...], str] = {
    ("add",): "plus sum_of",
    ("age_days",): "age days_ago days_since days_old age_in_days",
    ("avg",): "average mean",
    ("contains",): "includes include has",
    ("count_by",): "frequencies tally value_counts",
    ("divide",): "div quotient",
    ("ends_with",): "has_suffix",
    ("entries",): "to_entries items object_entries to_pairs",
    ("find",): "regex_find regex_extract extract capture search exec",
    ("find_all",): "scan match_all regex_find_all extract_all",
    ("from_entries",): "from_pairs object_from_entries to_object",
    ("from_json",): "parse_json json_parse json_decode json_loads loads parse",
    ("join",): "concat implode",
    ("length",): "count len size",
    ("lines",): "split_lines line",
    ("lower",): "to_lower_case lower_case to_lower downcase lcase ascii_downcase",
    ("matches",): "match test is_match regex_match regex_matches matches_regex regex_test",
    ("multiply",): "times mul product",
    ("not_null",): "coalesce default if_null default_if_null",
    ("replace",): "replace_all gsub regex_replace substitute",
    ("replace", "subtract"): "sub",
    ("subtract",): "minus difference",
    ("sum",): "total",
    ("to_number",): "float int number parse_int parse_float to_int to_float to_integer",
    ("to_string",): "str string to_json json_stringify json_dumps dumps stringify to_text",
    ("trim",): "strip trim_space",
    ("unique",): "distinct uniq dedupe deduplicate unique_values uniques",
    ("unique_by",): "distinct_by uniq_by dedupe_by",
    ("upper",): "to_upper_case upper_case to_upper upcase ucase ascii_upcase",
    ("sort_by",): "order_by",
}


def bare(name: str) -> str:
    """Return *name* without case and separators, in which languages differ."""
    return name.replace("_", "").casefold()


OTHER_WORDS: dict[str, tuple[str, ...]] = {
    bare(word): ours for ours, words in _OTHERS.items() for word in words.split()
}
_WITHOUT_OURS = {
    'Give the task trigger_rule: "one_failed", which runs it after a failure.': (
        "failure failed is_failure has_failed"
    ),
    'Give the task trigger_rule: "always", which runs it in any case.': "always",
    'Give the task trigger_rule: "all_done", which runs it after successes and failures.': (
        "cancelled canceled is_cancelled"
    ),
    'A task runs after successes alone, as trigger_rule: "all_success" says.': (
        "success succeeded is_success all_success"
    ),
    "age_days(text) counts the days from a date to the start of the run.": (
        "now today date to_date date_diff days time timestamp"
    ),
    "Write condition && value || other.": "if iif ternary cond when",
    "Write value != null.": "exists is_null is_not_null is_none defined is_empty empty",
    "Write list[?condition].": "filter where select find_where",
    "Write length(list[?condition]) > 0.": "any some",
    "Write list[].": "flatten flat_map chain",
    "Write text[0:3].": "slice substr substring left right take limit",
}
HINTS = {bare(word): hint for hint, words in _WITHOUT_OURS.items() for word in words.split()}
"""The advice for functions of other languages that have no counterpart here."""
NAMESPACES = frozenset(
    ("JSON", "json", "Math", "math", "Object", "Array", "Number", "String", "_", "lodash", "np")
)
"""Names before the functions of other languages. Fields are rarely named so."""
_OURS = {bare(name): (name,) for name in FUNCTIONS}


def meant_by(name: str) -> tuple[str, ...]:
    """Return our functions that may be meant by *name*, which is not one itself."""
    return _OURS.get(bare(name)) or OTHER_WORDS.get(bare(name), ())
