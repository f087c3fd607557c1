"""Section 12: runs that survive. Each sentence of what is promised, with the tests that show it:
`docs/contract.md`, section 11, and the promises of `docs/reliability.md`. A sentence without a test
has the reason in its place."""

from __future__ import annotations

import pytest

from .sentences import Shown, check_order, check_tests

WRITER = "stores/history/test_writer.py"
STORE = "stores/history/test_store.py"
PROMISE = "stores/history/test_contract.py"
FILES = "stores/history/test_files.py"
RUN = "engine/test_writing.py"
PREPARED = "engine/test_preparing.py"
RECALLED = "engine/test_recalling.py"
CRASHES = "engine/test_crashes.py"
KILLS = "stores/history/test_crashes.py"
COMMANDS = "cli/test_history_commands.py"
GATEWAY = "engine/test_gateway.py"
OPENED = "stores/history/test_opening.py"
LEASES = "stores/history/test_leases.py"
WRITTEN = "stores/history/test_writing.py"
DATABASE = "stores/history/test_database.py"
PROCESSES = "cli/test_processes.py"
NOT_SENT_TWICE = (
    f"{CRASHES}::test_at_whatever_instant_gateways_die_nothing_is_sent_twice_or_forgotten",
    f"{KILLS}::test_no_kill_makes_a_write_go_out_twice_or_be_forgotten",
)
MAY_ARRIVE = "It promises nothing: nobody can call back what has left."
COMMITTED_FIRST = (
    f"{RUN}::test_an_answer_goes_out_after_the_commit_of_what_it_holds",
    *NOT_SENT_TWICE,
)
IN_DOUBT = f"{RUN}::test_a_write_in_the_air_is_in_doubt_and_what_needs_it_is_skipped"
ONE_GOES_ON = (
    f"{PROMISE}::test_one_of_many_resumers_takes_over_and_the_others_get_its_run",
    f"{PROMISE}::test_who_read_a_chain_before_another_went_on_gets_that_run",
)
OWED = (
    f"{PREPARED}::test_a_run_whose_answer_was_lost_is_the_answer_to_its_document_once",
    f"{PREPARED}::test_a_run_of_a_living_gateway_or_of_long_ago_is_not_the_answer",
    "upstream/test_tools.py::test_the_answer_that_a_dead_gateway_owed_is_given_once",
    f"{PROMISE}::test_a_run_whose_answer_may_be_lost_is_listed_until_it_is_answered",
)
LOST = f"{RUN}::test_a_run_that_could_not_be_written_says_so_and_nothing_goes_on_from_it"
NOT_FOR_POWER = (
    f"{RUN}::test_a_run_for_power_cuts_is_refused_before_anything_is_sent"
    "_where_it_cannot_be_written"
)

CONTRACT: dict[str, Shown] = {
    "No call that changes something is sent twice": NOT_SENT_TWICE,
    "A call that is on its way when it dies may": MAY_ARRIVE,
    "What runs do is in one file": (
        f"{STORE}::test_two_processes_write_at_once_and_nothing_is_lost",
        f"{OPENED}::test_runs_are_in_the_file_of_the_folder",
    ),
    "calls by name are entries too.": (f"{RUN}::test_a_call_by_name_is_an_entry_of_its_own",),
    "Before a call that is not read-only is sent, its start is committed": NOT_SENT_TWICE,
    "the commit holds everything that was heard before": (
        f"{WRITER}::test_what_was_put_before_is_committed_with_it_and_nothing_is_awaited_twice",
        f"{STORE}::test_a_large_output_holds_up_its_own_run_and_no_other",
        *NOT_SENT_TWICE,
    ),
    "Outcomes are written before the scheduler handles them": (
        f"{WRITER}::test_the_end_of_a_call_is_committed_without_being_awaited",
        *NOT_SENT_TWICE,
    ),
    "No answer of a run goes out before the commit": COMMITTED_FIRST,
    "neither does that of a call by name": (f"{RUN}::test_a_call_by_name_is_an_entry_of_its_own",),
    '`durable` of a document, else of `[history]`: `"process"`': (
        f"{PROMISE}::test_what_is_committed_survives_and_what_is_not_does_not",
        *NOT_SENT_TWICE,
    ),
    '`"power"` a power cut too': (
        f"{WRITER}::test_a_run_that_is_to_survive_a_power_cut_waits_for_the_disk_itself",
        f"{PROMISE}::test_a_run_that_survives_power_cuts_is_certain_after_one",
        NOT_FOR_POWER,
    ),
    '`"off"` is written when it has ended.': (
        f"{PROMISE}::test_a_run_that_survives_nothing_is_written_when_it_has_ended",
    ),
    "After a new start of the machine every call": (
        f"{PROMISE}::test_a_new_start_of_the_machine_leaves_a_chain_uncertain_for_good",
    ),
    "A run whose gateway died is `interrupted`;": (
        f"{PREPARED}::test_a_gateway_that_died_a_moment_ago_has_interrupted_its_runs",
    ),
    "`get_run` shows what it had done.": (
        f"{RECALLED}::test_an_interrupted_run_shows_what_was_done",
    ),
    "`resume_from` with its id, or that of any run": (
        f"{PREPARED}::test_any_run_of_a_chain_means_the_last_and_an_ended_one_is_the_answer",
        f"{PREPARED}::test_a_tool_that_changed_stops_a_run_from_going_on",
        f"{PREPARED}::test_a_run_that_was_repaired_goes_on_with_its_own_document",
        f"{RUN}::test_a_run_goes_on_with_the_settings_that_it_began_with",
    ),
    "Of several callers one goes on": ONE_GOES_ON,
    "where the last has ended, and nothing new is said": (
        f"{PREPARED}::test_any_run_of_a_chain_means_the_last_and_an_ended_one_is_the_answer",
        f"{PROMISE}::test_a_chain_that_ended_goes_on_only_if_something_new_is_said",
    ),
    "Calls that ended are not sent again": (
        f"{RUN}::test_a_run_goes_on_without_sending_anything_twice",
        f"{RUN}::test_a_call_that_failed_is_tried_again_only_as_often_as_its_retries_say",
        f"{RUN}::test_items_go_on_one_by_one",
        f"{RUN}::test_items_of_groups_retries_and_pages_go_on_where_they_were",
    ),
    "Reads that were under way are made again": (
        f"{RUN}::test_a_run_goes_on_without_sending_anything_twice",
        f"{RUN}::test_an_idempotent_write_in_doubt_is_sent_again",
    ),
    "Others fail as `in_doubt`, unless `in_doubt` says": (
        IN_DOUBT,
        f"{RUN}::test_what_is_said_about_a_call_in_doubt_decides_it",
        f"{COMMANDS}::test_an_interrupted_run_goes_on_with_what_is_said",
    ),
    "a word holds for the calls before it alone.": (
        f"{RUN}::test_a_word_about_a_call_holds_for_the_calls_before_it_alone",
    ),
    "`timeout_s` counts the time between.": (
        f"{RUN}::test_the_time_since_a_run_was_interrupted_counts",
        f"{RUN}::test_what_timed_out_is_not_sent_again_and_the_time_between_counts",
    ),
    "A document that is not the run's own is refused": (
        f"{PREPARED}::test_another_document_waits_until_the_run_has_gone_on",
    ),
    'With `[history] resume = "safe"` a gateway': (
        f"{GATEWAY}::test_a_gateway_goes_on_by_itself_with_interrupted_runs_without_doubt",
    ),
    "`plait history RUN --verify` replays a run": (
        "engine/test_verifying.py::test_random_runs_through_deaths_are_verified",
        "core/test_replay.py::test_each_run_of_any_story_is_made_again_from_its_own_events",
        "cli/test_verifying.py::test_each_run_of_a_chain_is_verified",
        "cli/test_verifying.py::test_a_row_that_was_changed_is_found",
    ),
    "`get_run` reads and awaits, and `cancel_run`": (
        f"{RECALLED}::test_a_run_of_another_process_is_awaited",
        f"{RECALLED}::test_a_run_of_another_process_is_cancelled_and_no_other",
        f"{PROCESSES}::test_a_run_of_one_process_is_cancelled_and_read_through_another",
    ),
    "A yes to its calls can be given there, too.": (
        f"{RUN}::test_an_answer_reaches_a_run_of_another_process",
    ),
    "A question of a server goes to the client": (
        "upstream/relay/test_run_waiters.py::test_a_question_is_asked_over_the_process_of_its_run",
    ),
    "A document equal to that of an interrupted run": (
        f"{PREPARED}::test_the_document_of_an_interrupted_run_is_not_run_again_unless_that_is_meant",
    ),
    "Nor is one equal to that of a run which changed": OWED,
    '`"again": true` runs it.': (
        f"{PREPARED}::test_the_document_of_an_interrupted_run_is_not_run_again_unless_that_is_meant",
    ),
    "`history_lost` is true in the result": (LOST,),
    "no run goes on from it.": (LOST,),
    "With `[history] outputs = false` neither": (
        f"{RUN}::test_without_values_the_history_has_neither_arguments_nor_outputs",
        f"{PROMISE}::test_without_values_all_else_is_kept_and_nothing_goes_on_from_it",
    ),
    "with `enabled = false` nothing is on the disk.": (
        "app/test_parts.py::test_runs_of_settings_without_history_are_not_on_the_disk",
    ),
}
RELIABILITY: dict[str, Shown] = {
    "No call that changes something is sent twice": NOT_SENT_TWICE,
    "A call that is on its way when the gateway dies": MAY_ARRIVE,
    "Before a call that is not read-only is sent": NOT_SENT_TWICE,
    "The same commit holds everything that decided": NOT_SENT_TWICE,
    "Reads are written soon after they end": (
        f"{WRITER}::test_the_end_of_a_call_is_committed_without_being_awaited",
        f"{RUN}::test_a_run_goes_on_without_sending_anything_twice",
    ),
    "No answer and no run id goes out": COMMITTED_FIRST,
    "A call whose start was committed": (
        f"{PROMISE}::test_a_call_with_an_intent_and_no_outcome_is_in_doubt",
        IN_DOUBT,
    ),
    "Only calls that were under way can be.": NOT_SENT_TWICE,
    "A call of a run that may change something carries": (
        f"{RUN}::test_a_call_has_the_same_key_whenever_it_is_sent_and_each_call_its_own",
    ),
    "Calls whose answers are known wait for no slot": (
        f"{RUN}::test_what_was_answered_waits_for_neither_slots_nor_rates_nor_pauses",
    ),
    "their answers are handled in the order": (
        f"{RUN}::test_answers_come_again_in_their_order_so_that_the_same_is_cancelled",
    ),
    "Of two callers that go on with one run": ONE_GOES_ON,
    "the other gets that run.": ONE_GOES_ON,
    "A client that got no answer sends its document": OWED,
    "If the run of it was interrupted, the answer": (
        f"{PREPARED}::test_the_document_of_an_interrupted_run_is_not_run_again_unless_that_is_meant",
    ),
    "if it had ended, the answer is its result": OWED,
    "This holds for an hour": OWED,
    "The history is one SQLite file": (
        f"{DATABASE}::test_the_file_is_for_its_owner_alone",
        f"{LEASES}::test_notes_and_leases_are_for_their_owner_alone",
    ),
    "All gateways of a user share it.": (
        f"{STORE}::test_two_processes_write_at_once_and_nothing_is_lost",
    ),
    "Outputs are kept once each and compressed.": (
        f"{WRITTEN}::test_equal_values_are_kept_once_and_small_ones_in_their_rows",
        "stores/history/test_packing.py::test_a_value_is_compressed_only_where_that_helps",
    ),
    "They are as the servers gave them": (
        f"{COMMANDS}::test_secrets_of_the_settings_are_not_shown",
        f"{PROMISE}::test_outputs_of_all_sizes_come_back_whole",
    ),
    "What a run survives is its `durable`": (f"{COMMANDS}::test_a_run_says_what_it_survives",),
    "A process asks something of a run": (
        f"{PROMISE}::test_what_is_posted_reaches_the_process_of_the_run_once_and_in_order",
        f"{PROMISE}::test_nothing_is_posted_to_a_run_that_does_not_go_on",
    ),
    "The process of the run looks for such rows": (
        "engine/test_engine.py::test_posts_are_looked_for_only_while_runs_go_on",
    ),
    "A gateway counts as dead when the system": (
        f"{LEASES}::test_a_process_that_is_stopped_is_alive",
        f"{LEASES}::test_a_lease_lives_until_its_process_dies_or_releases_it",
    ),
    "A disk that is full, read-only, slow or broken": (
        f"{STORE}::test_a_full_disk_stops_no_run_and_loses_its_history",
        f"{STORE}::test_a_disk_that_cannot_be_written_is_not_used",
        f"{WRITER}::test_a_commit_that_hangs_holds_no_call_for_longer_than_the_patience",
    ),
    "Where a commit fails or takes more than a second": (
        f"{PROMISE}::test_a_run_whose_disk_fails_goes_on_is_lost_and_stays_so",
        f"{WRITER}::test_a_commit_that_hangs_holds_no_call_for_longer_than_the_patience",
    ),
    "That is noted in the folder": (
        "stores/history/test_log.py::test_a_loss_is_noted_once_and_before_a_call_leaves",
        f"{LEASES}::test_losses_outlive_their_process_until_they_are_forgotten",
    ),
    "where not even that can be written": (
        f"{PROMISE}::test_no_call_leaves_if_its_loss_cannot_be_noted",
        f"{STORE}::test_a_folder_that_takes_no_notes_in_time_refuses_the_call",
    ),
    'So does each further call of a `"power"` run': (
        f"{PROMISE}::test_no_call_of_a_run_that_is_to_survive_a_power_cut_leaves_unwritten",
    ),
    "The disk is tried again every few seconds.": (
        f"{WRITER}::test_a_disk_that_failed_is_tried_again_though_nothing_is_written",
        f"{STORE}::test_a_disk_that_has_room_again_is_written_again",
    ),
    "A damaged file is renamed": (
        f"{FILES}::test_a_file_without_its_beginning_is_set_aside",
        f"{FILES}::test_a_suspected_file_is_checked_and_set_aside_at_the_next_start",
    ),
    "while others have it open": (
        f"{FILES}::test_a_damaged_file_that_others_have_open_is_left_alone",
    ),
    "A damaged value loses its run": (
        f"{PREPARED}::test_a_damaged_run_refuses_who_goes_on_and_stops_nobody_else",
        "cli/test_verifying.py::test_a_run_with_a_damaged_value_is_not_shown",
    ),
    "`plait history RUN --verify` says which it is.": (
        "cli/test_verifying.py::test_a_row_that_was_changed_is_found",
    ),
    "A file of a newer Plait is left alone.": (
        f"{DATABASE}::test_a_file_of_a_newer_plait_is_left_alone",
    ),
    "Within a major version tables only grow": (
        f"{DATABASE}::test_steps_are_added_and_an_older_process_goes_on",
    ),
    "On a network file system": (
        f"{FILES}::test_a_network_file_system_is_found_by_the_table_of_mounts",
        f"{OPENED}::test_memory_alone_keeps_runs_and_refuses_to_outlast_power_cuts",
    ),
}


@pytest.mark.parametrize(
    ("page", "headings", "promises"),
    [
        ("contract.md", ["11. Runs that survive"], CONTRACT),
        (
            "reliability.md",
            ["What is promised", "Where it is kept", "When the disk fails"],
            RELIABILITY,
        ),
    ],
)
def test_the_table_has_every_sentence_in_its_order(
    page: str, headings: list[str], promises: dict[str, Shown]
):
    check_order(page, headings, promises)


def test_every_test_of_the_table_exists():
    check_tests(CONTRACT, RELIABILITY)
