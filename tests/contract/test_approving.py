"""Section 11: plan, approve, apply. Each sentence of `docs/contract.md`, section 12, with the tests
that show it."""

from __future__ import annotations

from .sentences import Shown, check_order, check_tests

HELD = "core/scheduling/test_holding.py"
ASKED = "engine/test_approvals.py"
LEFT = "engine/test_writing.py"
POLICY = "contract/test_policy.py"
COMPARED = "engine/test_comparing.py"
RULES = "core/tools/test_rules.py"
FLOWS = "contract/test_flows.py"
OVER_HTTP = "contract/test_flows_over_http.py"
TERMINAL = "cli/test_approving.py"
CHECKED = "downstream/test_definition_check.py"
ANSWERS = "attacks/test_answers.py"
AUDIT = "core/test_audit.py"
QUESTION = "core/results/test_approval.py"
ROWS = "engine/test_auditing.py"
KEPT = "stores/history/test_auditing.py"
FIRST = f"{HELD}::test_reads_run_first_and_then_all_writes_are_asked_for_at_once_with_their_values"
COVERS = (
    f"{HELD}::test_a_yes_can_cover_tasks_whose_calls_are_not_known_yet"
    "_but_not_those_asked_for_one_by_one"
)
NOTHING_SENT = (
    "core/scheduling/test_held_runs.py::test_only_what_was_approved_is_sent_as_it_was_shown",
    "attacks/test_writes.py::test_no_plan_changes_anything_without_a_yes",
    "attacks/test_scenarios.py::test_without_a_yes_nothing_is_changed",
)

CONTRACT: dict[str, Shown] = {
    "Reads run first;": (FIRST,),
    "then every call that the policy asks for is shown": (
        FIRST,
        f"{QUESTION}::test_it_names_what_is_asked_for_and_what_comes_later_and_counts_the_reads",
    ),
    "Nothing is sent before a person says yes.": NOTHING_SENT,
    "A rule is a glob over `server:tool`": (
        f"{RULES}::test_a_class_has_the_tools_that_its_name_says",
        f"{RULES}::test_a_glob_matches_the_full_name_of_any_kind_of_tool",
    ),
    "The strictest rule that matches decides": (
        f"{RULES}::test_the_strictest_rule_that_matches_wins",
    ),
    "An `allow` lifts an `ask` alone": (f"{RULES}::test_the_strictest_rule_that_matches_wins",),
    "A plan with a denied call is refused": (
        f"{POLICY}::test_a_plan_with_a_denied_call_is_refused_before_anything_runs",
    ),
    "A call that may never be made fails": (
        f"{POLICY}::test_a_denied_call_behind_a_when_fails_if_it_comes_to_it",
        f"{POLICY}::test_a_denied_call_for_a_list_that_is_not_known_fails_if_it_has_items",
    ),
    "Rules hold for tasks, items, calls by name": (
        f"{POLICY}::test_it_holds_for_items_and_in_groups",
        f"{POLICY}::test_it_holds_for_calls_by_name",
        f"{POLICY}::test_it_holds_for_what_a_resumed_run_does",
        f"{CHECKED}::test_a_call_is_judged_by_what_the_tool_is_when_it_is_sent",
    ),
    "A run does all that needs no yes": (
        FIRST,
        f"{HELD}::test_what_comes_after_a_held_call_by_conflict_waits_for_it",
        "core/scheduling/test_behind.py::test_what_would_come_after_a_held_call_waits_for_it",
    ),
    "It asks when nothing else is left to do": (
        FIRST,
        f"{HELD}::test_after_half_a_minute_is_asked_for_what_is_held_by_then",
    ),
    "Held calls take no slot and claim nothing.": (
        f"{HELD}::test_a_held_call_takes_no_slot_and_claims_nothing",
    ),
    "The time of a run stands still": (
        f"{HELD}::test_the_time_of_a_run_stands_still_while_it_waits_for_a_person",
    ),
    "A call that was not approved fails": (
        f"{HELD}::test_what_is_not_approved_fails_and_what_needs_it_is_skipped",
        f"{ASKED}::test_a_no_sends_nothing",
        f"{ASKED}::test_nobody_says_yes_in_time",
    ),
    "For `one_failed` that does not count": (
        f"{HELD}::test_what_is_not_approved_fails_and_what_needs_it_is_skipped",
    ),
    "Calls that need a result of an approved one": (
        f"{ASKED}::test_a_yes_is_good_once_and_for_its_own_question",
        f"{ASKED}::test_a_yes_may_cover_what_comes_later",
    ),
    "that covers neither `ask_each`": (
        COVERS,
        f"{QUESTION}::test_a_list_that_is_not_known_is_not_covered_nor_what_needs_a_yes_of_its_own",
    ),
    "A client asks its person with an elicitation": (
        f"{ASKED}::test_a_yes_to_the_clients_question_sends_the_calls",
    ),
    "The question belongs to the request that is open.": (
        f"{ASKED}::test_a_question_of_the_handshake_era_is_taken_back_with_its_request",
        f"{ASKED}::test_a_dismissed_question_is_asked_again_by_the_next_request",
        f"{ASKED}::test_a_client_of_2026_may_take_its_time",
    ),
    "A terminal asks with `plait run`": (
        f"{TERMINAL}::test_on_a_terminal_a_run_is_answered",
        f"{TERMINAL}::test_plait_approve_comes_back_to_the_question_and_shows_the_end",
    ),
    "The first answer counts.": (
        f"{TERMINAL}::test_a_question_that_is_answered_elsewhere_is_withdrawn",
        f"{ANSWERS}::test_an_answer_that_comes_late_is_nothing",
    ),
    "A yes is bound to a digest": (
        f"{ASKED}::test_a_yes_is_good_once_and_for_its_own_question",
        f"{QUESTION}::test_a_digest_is_about_each_value_as_a_whole_and_the_moment",
    ),
    "A tool that is defined anew needs another.": (
        f"{ASKED}::test_a_tool_that_was_defined_anew_is_not_approved",
        f"{ASKED}::test_a_question_is_withdrawn_as_soon_as_a_tool_of_it_is_defined_anew",
        f"{CHECKED}::test_an_approved_call_is_not_sent_to_a_tool_that_is_described_otherwise",
    ),
    "What a shown difference was drawn from is read again": (
        f"{COMPARED}::test_a_yes_does_not_cover_a_file_that_has_changed_since_it_was_shown",
        f"{COMPARED}::test_of_two_approved_calls_on_one_file_the_second_is_asked_for_again",
        f"{COMPARED}::test_a_yes_from_before_a_crash_does_not_cover_a_file_that_has_changed",
    ),
    "No tool, resource or answer of Plait gives a yes.": (
        f"{ASKED}::test_no_answer_of_plait_gives_a_yes",
        f"{ANSWERS}::test_answers_that_come_with_the_first_request_answer_nothing",
    ),
    "A run that waits outlives its client": (
        f"{LEFT}::test_a_run_that_waits_for_a_person_survives_the_death_of_its_gateway",
        f"{LEFT}::test_a_gateway_that_ends_leaves_a_run_that_waits_to_the_next",
    ),
    "Any process of the user can answer": (
        f"{LEFT}::test_an_answer_reaches_a_run_of_another_process",
        f"{LEFT}::test_a_gateway_that_ends_leaves_a_run_that_waits_to_the_next",
    ),
    "A call by name asks while its request is open.": (
        f"{ASKED}::test_a_call_by_name_asks_while_its_request_is_open",
    ),
    "`preview: true` holds before the first call": (
        f"{HELD}::test_a_preview_holds_what_may_change_something_whatever_the_policy_says",
    ),
    "`apply` goes on exactly as was shown.": (
        f"{ASKED}::test_a_preview_goes_on_as_it_was_shown_when_it_is_applied",
        f"{LEFT}::test_a_preview_is_applied_by_the_next_gateway",
    ),
    "It is refused as `plan_changed`": (
        f"{ASKED}::test_a_preview_of_changed_tools_is_not_applied",
    ),
    "What the policy asks for is still asked for.": (
        f"{ASKED}::test_the_policy_still_asks_once_a_preview_is_applied",
    ),
    "`query_dag` runs the same language": (
        f"{POLICY}::test_the_same_language_answers_alike",
        f"{POLICY}::test_it_lets_nothing_else_change_anything",
    ),
    "Any other is refused as `not_read_only`.": (
        f"{POLICY}::test_a_task_that_is_not_known_to_read_only_is_refused",
    ),
    "No reference reaches an argument of an open-world tool": (
        f"{POLICY}::test_no_reference_reaches_an_argument_of_an_open_world_tool",
    ),
    "A plan that lets data of tools": (
        f"{FLOWS}::test_a_plan_that_breaks_a_rule_is_refused_with_the_way_in_words_and_drawn",
        f"{FLOWS}::test_what_a_rule_asks_for_is_sent_once_a_person_has_said_yes",
        "attacks/test_leaks.py::test_no_way_leads_out_under_rules",
    ),
    "It is checked again when a call is sent.": (
        f"{FLOWS}::test_a_file_that_another_run_writes_meanwhile_stops_the_call_that_would_send_it",
    ),
    "What a client has seen counts": (
        f"{FLOWS}::test_what_was_returned_labels_all_that_the_client_writes",
        f"{FLOWS}::test_calls_by_name_are_seen_and_are_refused_in_turn",
        f"{OVER_HTTP}::test_what_a_client_has_seen_keeps_it_from_sending_in_its_session",
        f"{OVER_HTTP}::test_a_session_knows_nothing_of_another_one",
    ),
    "The definition of a tool is remembered": (
        "stores/test_pins.py::test_the_first_definition_is_pinned_and_another_one_is_not_it",
    ),
    'With `pin = "block"` a changed one fails': (
        f"{CHECKED}::test_a_tool_that_changed_since_it_was_first_used_is_blocked",
        f"{CHECKED}::test_the_error_says_how_a_person_accepts_it",
    ),
    "Each decision about a call": (
        f"{ROWS}::test_a_call_that_changes_something_is_a_row_when_it_leaves_and_one_when_it_ends",
        f"{ROWS}::test_a_question_to_a_client_and_its_answer_are_rows",
        f"{ROWS}::test_a_plan_that_a_rule_refuses_is_a_row_for_each_denied_call",
    ),
    "The row of a call that changes something": (
        f"{ROWS}::test_the_row_is_committed_before_the_server_gets_the_call",
        f"{KEPT}::test_a_row_adds_no_commit_to_that_of_the_call_it_is_about",
    ),
    "`plait history audit` shows them": (
        f"{AUDIT}::test_a_changed_row_is_found",
        f"{AUDIT}::test_a_deleted_row_is_found",
        f"{AUDIT}::test_an_inserted_row_is_found",
        f"{AUDIT}::test_rows_that_changed_places_are_found",
    ),
    "[Audit](audit.md) has the details.": "It leads to a page.",
    "Plait never changes them;": (f"{AUDIT}::test_a_chain_that_nobody_touched_is_whole",),
    "only their age deletes them": (
        f"{AUDIT}::test_a_chain_without_its_oldest_rows_follows_on_what_a_row_says_was_deleted",
    ),
}


def test_the_table_has_every_sentence_in_its_order():
    check_order("contract.md", ["12. Plan, approve, apply"], CONTRACT)


def test_every_test_of_the_table_exists():
    check_tests(CONTRACT)
