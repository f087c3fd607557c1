"""Where the time of a run went: what each task waited for, and what would make the run faster."""

from __future__ import annotations

from typing import Any

from plait.core.language.reader import read_dag
from plait.core.planning.check import check
from plait.core.results.explain import MAX_WAITS
from plait.core.results.result import RunResult
from plait.core.scheduling.events import Event, Failed, Key, Locate, Located, Succeeded, Woke
from plait.core.scheduling.limits import Limits
from plait.core.scheduling.rates import Rate
from plait.core.scheduling.run import Run
from plait.core.scheduling.scheduler import Scheduler
from plait.core.tools.catalog import Catalog, ServerInfo, ServerState
from plait.core.tools.output import Output
from plait.core.tools.policy import Policy, Rule
from plait.errors import CallError, CallTimeout
from tests.core.scheduling.places import as_named, conflicts_in
from tests.fakes import tool

from ..runs import result_at
from ..scheduling.documents import PATH
from ..tables import table

CATALOG = Catalog(
    [
        tool("s:do", readOnlyHint=True),
        tool("s:read", PATH, closed=False, readOnlyHint=True),
        tool("s:write", PATH),
    ],
    [ServerInfo("s", ServerState.READY)],
)


class Play:
    """Runs under *limits*, played by hand: say what is answered and when, in seconds."""

    def __init__(self, limits: Limits | None = None, *rules: Rule) -> None:
        self.scheduler = Scheduler(limits or Limits())
        self.policy = Policy(rules)
        self.runs: dict[str, Run] = {}
        self.now = 0.0

    def submit(self, id: str, *tasks: dict[str, Any], at: float = 0.0, **options: Any) -> Play:
        document = {"tasks": list(tasks), "detail": "full", **options}
        plan = check(read_dag(document), CATALOG, self.policy)
        self.runs[id] = Run(id, plan, number=len(self.runs), conflicts=conflicts_in(plan))
        self.scheduler.submit(self.runs[id], at)
        return self

    def answer(
        self, at: float, *ids: str, error: CallError | None = None, run: str = "r", item: Any = None
    ) -> Play:
        for id in ids:
            key = Key(run, id, item)
            self.tell(Succeeded(key, Output("x")) if error is None else Failed(key, error), at)
        return self

    def tell(self, event: Event, at: float) -> Play:
        step = self.scheduler.handle(event, at)
        self.now = at
        for command in step.commands:
            if isinstance(command, Locate):
                self.tell(Located(command.key, as_named(command.names)), at)
        return self

    def result(self, run: str = "r") -> RunResult:
        return result_at(self.runs[run], self.now)

    def waits(self, id: str, run: str = "r") -> list[str]:
        """What task *id* waited for, each as `why on: ms`, in the order of time."""
        waits = next(task.waits for task in self.result(run).tasks if task.id == id)
        return [
            f"{one.why} {one.on}: {one.ms:g}" + (f" ({one.resource})" if one.resource else "")
            for one in waits
        ]


def task(
    id: str, verb: str = "do", path: str | None = None, *needs: str, **more: Any
) -> dict[str, Any]:
    arguments = {"path": path} if path else {}
    return {
        "id": id,
        "tool": f"s:{verb}",
        "arguments": arguments,
        "depends_on": list(needs),
        **more,
    }


A, B, C = task("a"), task("b"), task("c", "do", None, "a", "b")


def test_a_task_waits_for_the_last_of_its_dependencies() -> None:
    play = Play().submit("r", A, B, C).answer(1, "b").answer(3, "a").answer(4, "c")
    assert (play.waits("a"), play.waits("c")) == ([], ["dependency a: 3000"])


def test_a_task_that_could_have_started_waits_for_the_limit_that_is_full() -> None:
    play = Play(Limits(gateway=1)).submit("r", A, B).answer(2, "a").answer(3, "b")
    assert play.waits("b") == ["limit gateway: 2000"]


@table(
    ("limits", "rules", "options", "limit"),
    [
        (Limits(gateway=1), (), {}, "gateway"),
        (Limits(servers=(("s", 1),)), (), {}, "server s"),
        (Limits(), (Rule("s:*", max_concurrency=1),), {}, "tools s:*"),
        (Limits(), (), {"max_concurrency": 1}, "run r"),
    ],
)
def test_the_limit_is_named_at_which_it_stood(
    limits: Limits, rules: Any, options: Any, limit: str
) -> None:
    play = Play(limits, *rules).submit("r", A, B, **options).answer(2, "a").answer(3, "b")
    assert play.waits("b") == [f"limit {limit}: 2000"]


def test_a_task_waits_for_the_rate_of_its_server() -> None:
    play = Play(Limits(rates=(("s", Rate(1, 2.0)),))).submit("r", A, B).answer(1, "a")
    play.tell(Woke(Key("", "s")), 2).answer(3, "b")
    assert play.waits("b") == ["limit rate of s: 2000"]


def test_a_task_waits_for_the_one_before_it_that_touches_the_same() -> None:
    play = (
        Play()
        .submit("r", task("a", "read", "x"), task("b", "write", "x"))
        .answer(2, "a")
        .answer(3, "b")
    )
    assert play.waits("b") == ["conflict a: 2000 (file:x)"]


def test_a_task_waits_for_a_task_of_another_run_that_touches_the_same() -> None:
    play = (
        Play().submit("one", task("a", "write", "x")).submit("r", task("b", "write", "x"), at=1.0)
    )
    play.answer(3, "a", run="one").answer(4, "b")
    assert play.waits("b") == ["conflict another run: 2000 (file:x)"]


def test_a_task_waits_for_what_was_claimed_when_its_path_became_known() -> None:
    play = Play().submit("r", task("a"), task("b", "write", "x"), task("c", "write", "$OUTPUT[a]"))
    play.answer(1, "a").answer(4, "b").answer(5, "c")
    assert play.waits("c") == ["dependency a: 1000", "conflict b: 3000 (file:x)"]


def test_under_layers_a_task_waits_for_the_layer_before() -> None:
    play = Play().submit("r", A, B, task("c", "do", None, "a"), schedule="layers")
    play.answer(1, "a").answer(3, "b").answer(4, "c")
    assert play.waits("c") == ["dependency a: 1000", "layer the layer before: 2000"]


def test_one_wait_follows_another_and_together_they_are_the_queue() -> None:
    play = Play(Limits(gateway=2)).submit(
        "r", A, B, task("w", "write", "x"), task("c", "write", "x", "a")
    )
    play.answer(1, "a").answer(2, "b").answer(5, "w").answer(6, "c")
    assert play.waits("w") == ["limit gateway: 1000"]
    assert play.waits("c") == ["dependency a: 1000", "conflict w: 4000 (file:x)"]
    assert [task.queue_ms for task in play.result().tasks] == [0, 0, 1_000, 4_000]


def test_a_pause_before_a_repeated_call_is_no_wait() -> None:
    play = Play(Limits(gateway=1)).submit("r", A | {"retries": 1}, B)
    play.answer(1, "a", error=CallTimeout("late")).tell(Woke(Key("r", "a")), 2).answer(
        4, "b"
    ).answer(5, "a")
    assert (play.waits("a"), play.waits("b")) == ([], ["limit gateway: 1000"])


def test_a_task_that_was_never_due_waited_for_nothing_we_can_tell() -> None:
    play = (
        Play().submit("r", A, task("b", "do", None, "a")).answer(1, "a", error=CallTimeout("late"))
    )
    assert (play.waits("b"), play.result().tasks[1].queue_ms) == ([], None)


def test_the_waits_of_all_tasks_are_added_up_the_longest_first() -> None:
    tasks = [
        *(task(f"t{number}") for number in range(4)),
        task("w", "write", "x"),
        task("v", "write", "x"),
    ]
    play = Play(Limits(gateway=2)).submit("r", *tasks)
    play.answer(1, "t0", "t1").answer(2, "t2", "t3").answer(10, "w").answer(11, "v")
    assert [(wait.why, wait.on, wait.ms) for wait in play.result().metrics.waits] == [
        ("conflict", "w", 10_000), ("limit", "gateway", 4_000),
    ]  # fmt: skip


def test_each_call_of_a_for_each_task_adds_its_wait() -> None:
    play = Play(Limits(gateway=1)).submit("r", A | {"for_each": [1, 2, 3]})
    for index in range(3):
        play.answer(index + 1, "a", item=index)
    assert [(wait.on, wait.ms) for wait in play.result().metrics.waits] == [("gateway", 3_000)]


def test_only_the_longest_waits_are_told() -> None:
    tasks = [task(f"t{number:02}", "write", f"{number // 2}") for number in range(4 * MAX_WAITS)]
    play = Play(Limits(gateway=99)).submit("r", *tasks)
    play.answer(1, *[f"t{number:02}" for number in range(0, 4 * MAX_WAITS, 2)])
    play.answer(2, *[f"t{number:02}" for number in range(1, 4 * MAX_WAITS, 2)])
    assert len(play.result().metrics.waits) == MAX_WAITS


def test_a_wait_for_what_touches_the_same_is_a_link_of_the_critical_path() -> None:
    play = Play().submit(
        "r",
        task("a", "write", "x"),
        task("b", "write", "x"),
        task("y", "do", None, "b"),
        task("z", "do"),
    )
    play.answer(2, "a").answer(4, "b").answer(6, "z").answer(7, "y")
    metrics = play.result().metrics
    assert (metrics.critical_path, metrics.critical_path_ms) == (("a", "b", "y"), 7_000)


def test_efficiency_is_the_share_of_the_critical_path() -> None:
    play = Play(Limits(gateway=1)).submit("r", A, B).answer(1, "a").answer(4, "b")
    assert (play.result().metrics.critical_path_ms, play.result().metrics.efficiency) == (
        3_000,
        0.75,
    )


def faster(play: Play) -> list[str]:
    return list(play.result().metrics.faster)


def test_a_run_that_is_one_chain_is_told_so() -> None:
    play = Play().submit("r", A, task("b", "do", None, "a")).answer(1, "a").answer(4, "b")
    assert faster(play) == [
        (
            "The chain a -> b took 4000 of 4000 ms: only shorter calls or fewer links in it help; "
            "b alone took 3000 ms."
        )
    ]


def test_a_long_chain_is_told_in_short() -> None:
    tasks = [task(f"t{n}", "do", None, *([f"t{n - 1}"] if n else [])) for n in range(9)]
    play = Play().submit("r", *tasks)
    for number in range(9):
        play.answer(number + 1, f"t{number}")
    assert "The chain t0 -> t1 -> t2 -> t3 -> t4 -> … -> t8 took" in faster(play)[0]


@table(
    ("limits", "rules", "options", "slot", "mend"),
    [
        (Limits(gateway=1), (), {}, "the gateway", "raise max_concurrency in [gateway]"),
        (Limits(), (), {"max_concurrency": 1}, "their run", "raise max_concurrency of the DAG"),
        (
            Limits(servers=(("s", 1),)),
            (),
            {},
            "server s",
            "raise its max_concurrency, or make fewer calls",
        ),
        (
            Limits(),
            (Rule("s:*", max_concurrency=1),),
            {},
            "tools s:*",
            "raise its max_concurrency, or make fewer calls",
        ),
    ],
)
def test_a_full_limit_is_named_with_its_mend(
    limits: Limits, rules: Any, options: Any, slot: str, mend: str
) -> None:
    play = Play(limits, *rules).submit("r", A, B, **options).answer(2, "a").answer(4, "b")
    assert faster(play) == [
        f"Calls waited for a slot of {slot}: {mend} (2000 ms of waiting in all)."
    ]


def test_a_rate_is_named_with_what_would_be_raised() -> None:
    play = Play(Limits(rates=(("s", Rate(1, 2.0)),))).submit("r", A, B).answer(1, "a")
    play.tell(Woke(Key("", "s")), 2).answer(3, "b")
    assert faster(play) == [
        (
            "Calls waited for the rate of s: raise its rate_limit, or make fewer calls (2000 ms of "
            "waiting in all)."
        )
    ]


def test_a_conflict_is_named_with_who_was_waited_for() -> None:
    play = (
        Play()
        .submit("r", task("a", "write", "x"), task("b", "write", "x"))
        .answer(2, "a")
        .answer(4, "b")
    )
    chain, sentence = faster(play)
    assert chain.startswith("The chain a -> b took 4000 of 4000 ms")
    assert sentence == (
        "Calls waited for a, because they use the same resource: let them use different ones"
        " (2000 ms of waiting in all)."
    )


def test_layers_are_named_with_what_would_not_wait_for_them() -> None:
    play = Play().submit(
        "r", A, B, task("c", "do", None, "a"), task("d", "do", None, "b"), schedule="layers"
    )
    play.answer(2, "a").answer(3, "b").answer(5, "c").answer(4, "d")
    assert faster(play)[-1] == (
        'Tasks waited for the layer before theirs: schedule "eager" starts each as soon as it can'
        " (1000 ms of waiting in all)."
    )


def test_a_wait_that_hardly_matters_is_no_reason() -> None:
    play = Play(Limits(gateway=1)).submit("r", A, B).answer(0.01, "a").answer(4, "b")
    assert [sentence.split(":")[0] for sentence in faster(play)] == [
        "The chain b took 3990 of 4000 ms"
    ]


def test_a_run_that_took_no_time_needs_no_advice() -> None:
    assert faster(Play().submit("r", A).answer(0, "a")) == []


def test_without_full_detail_nothing_is_explained() -> None:
    play = Play(Limits(gateway=1)).submit("r", A, B, detail="concise").answer(2, "a").answer(4, "b")
    result = play.result()
    assert [(task.waits, task.queue_ms) for task in result.tasks] == [((), None)] * 2
    assert not {"waits", "faster", "efficiency"} & result.metrics.document().keys()
