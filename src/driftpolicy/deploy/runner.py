"""A control loop that executes chunks at a fixed rate and decides the next one meanwhile."""

import dataclasses
import logging
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from driftpolicy.deploy.report import Report, Times
from driftpolicy.deploy.timing import Clock, Decided, Decider, SystemClock, ThreadDecider, listening
from driftpolicy.errors import UserError

_log = logging.getLogger("driftpolicy.deploy")
_WARMUP = 20  # decisions before the robot moves, to measure how long one takes
_RECENT = 200  # latencies of which the quantile is taken
_KEPT = 10_000  # times of which the report's quantiles are taken
_MARGINS = (0.002, 0.01)  # seconds beyond the measured quantile: the least, and that if it fits
_FULL = 0.9  # of a period: what comes before its take-over by less keeps its first action
_ROUNDING = 1e-6  # of a period: ticks are sums of floats


@dataclasses.dataclass
class _Plan:
    """A chunk and the time for which its first action was planned."""

    actions: np.ndarray
    origin: float

    def index(self, moment: float, period: float) -> int:
        """Which action is planned for ``moment``; the first, if it is too early for any."""
        return max(0, math.floor((moment - self.origin) / period + _ROUNDING))


class ChunkRunner:
    """Runs a policy on a robot.

    **Time.** Step ``k`` is due at ``t_k = t_0 + k / rate``. The observation of a chunk is read at
    some moment ``o``, and its action ``i`` is planned for ``o + i / rate``. What is sent at ``t_k``
    is the action whose period ``t_k`` falls into: an action is never sent before its time, and one
    whose time has passed is left out.

    **Which observation.** In training, an observation is followed at once by the whole chunk. Here
    the next chunk takes over at the step after the present one's last, so its observation is read
    ``lookahead_s`` before that step: the 99% quantile of the measured latencies, and ``margin_s``
    for what a busy machine adds now and then. If that is less than a period, as it should be, whole
    chunks are executed as in training, from an observation older by less than a step. If it is
    more, the actions planned for the time before the take-over are left out.

    **Hand-over.** With ``overlap`` n the next chunk takes over n steps before the present one ends,
    so that for n steps there are two plans: ``cut`` follows the new one, ``blend`` goes from the
    old to the new in equal parts.

    **Safety.** ``stop`` is what makes the robot safe. It is called, or sent if it is an action,
    whenever the loop ends: after its steps, by :meth:`stop`, by Ctrl-C or SIGTERM, by an error in
    a callback or in the policy, by a chunk that is not finite. The thread ends with the loop.

    All callbacks are called by the thread that calls :meth:`run`; the policy decides in another.
    """

    def __init__(
        self,
        policy: Any,
        read_observation: Callable[[], np.ndarray],
        send_action: Callable[[np.ndarray], Any],
        stop: np.ndarray | Callable[[], Any],
        *,
        rate_hz: float | None = None,
        overlap: int = 0,
        handover: str = "cut",
        late: str = "hold",
        lookahead_s: float | None = None,
        margin_s: float | None = None,
        seed: int = 0,
        on_miss: Callable[[str], Any] = _log.warning,
        clock: Clock | None = None,
        decider: Callable[[Callable[[np.ndarray], np.ndarray], Clock], Decider] = ThreadDecider,
    ):
        """Nothing runs yet.

        Args:
            policy: an exported one, :class:`driftpolicy.deploy.Policy`.
            read_observation: gives the present observation, ``[D]``, as a new array; its time
                counts as the decision's.
            send_action: takes an action, ``[A]``, and returns at once.
            stop: an action to send, or what to call, when the loop ends.
            rate_hz: steps per second; by default the rate the policy was trained at.
            overlap: steps for which two chunks are there, less than H.
            handover: what to do with them, ``cut`` or ``blend``.
            late: when a chunk is late and no planned action is left: ``hold`` sends the last one
                again until it is there, ``stop`` ends the loop.
            lookahead_s: how long before the take-over to read the observation; None: as measured.
            margin_s: beyond the measured quantile; None: 10 ms, or as much of it as leaves the
                lookahead within 0.9 of a period, and 2 ms at least.
            seed: of the decisions' noise.
            on_miss: told of each missed deadline in a line; by default a warning in the log.
            clock: the time.
            decider: where decisions are made.

        Raises:
            UserError: if a setting is out of range.
        """
        rate = policy.metadata.control_rate if rate_hz is None else rate_hz
        if rate is None or not 0 < rate < math.inf:
            raise UserError(f"rate_hz must be finite and above 0, not {rate}")
        self._length = policy.metadata.chunk_length
        if not 0 <= overlap < self._length:
            raise UserError(f"overlap must be from 0 to {self._length - 1}, not {overlap}")
        if handover not in ("cut", "blend") or (handover == "blend" and overlap == 0):
            raise UserError("handover must be cut, or blend with an overlap of at least 1")
        if late not in ("hold", "stop"):
            raise UserError(f"late must be hold or stop, not {late}")
        self._period = 1.0 / rate
        self._executed = self._length - overlap
        if lookahead_s is not None and not self._fits(lookahead_s):
            raise UserError(f"lookahead_s of {lookahead_s:g} s does not fit into a chunk")
        self._policy, self._rng = policy, np.random.default_rng(seed)
        self._read, self._send, self._stop = read_observation, send_action, stop
        self._blends, self._stops_late = handover == "blend", late == "stop"
        self._fixed_lead, self._margin = lookahead_s, margin_s
        self._on_miss = on_miss
        self._clock = clock or SystemClock()
        self._new_decider = decider
        self._ended_by: str | None = None

    def stop(self) -> None:
        """End the loop at its next step, from any thread or callback."""
        self._end("stop")

    def run(self, steps: int | None = None) -> Report:
        """Run for so many steps, or until stopped.

        Raises:
            UserError: before the robot moves, if decisions take too long for the rate; at any time,
                if the policy refuses the observation or its chunk is not finite.
            Exception: whatever a callback raises.
        """
        self._reset()
        with listening(self._end):
            decider = self._new_decider(self._decide, self._clock)
            try:
                self._loop(decider, steps)
            finally:
                try:
                    self._stop() if callable(self._stop) else self._send(self._stop)
                finally:
                    decider.close()
        return self._report()

    def _decide(self, observation: np.ndarray) -> np.ndarray:
        return self._policy.act(observation, self._rng)

    # The loop.

    def _reset(self) -> None:
        self._ended_by = None
        self._start = 0.0
        self._lead = 0.0  # how long before a take-over its observation is read
        self._pending = False  # a decision is under way
        self._incoming: _Plan | None = None  # decided, and not yet followed
        self._fading: tuple[_Plan, int] | None = None  # the old plan; steps it had at the take-over
        self._last = np.zeros(0)  # the action sent last
        self._noted_late = False
        names = ("steps", "decisions", "late_chunks", "held_steps", "late_steps", "skipped_steps")
        self._counts: dict[str, int] = dict.fromkeys(names, 0)
        self._recent = Times(_RECENT)
        self._jitter, self._latency, self._age = Times(_KEPT), Times(_KEPT), Times(_KEPT)

    def _loop(self, decider: Decider, steps: int | None) -> None:
        plan = self._first(decider)
        self._start = plan.origin
        step = 0
        while self._ended_by is None and (steps is None or step < steps):
            followed = self._step(decider, plan, self._start + step * self._period)
            if followed is None:
                self._end("late chunk")
                return
            plan = followed
            step += 1
            behind = math.floor((self._clock.now() - self._start) / self._period) - step
            if steps is not None:
                behind = min(behind, steps - step)  # those beyond the last were not to be made
            if behind > 0:
                self._miss("skipped_steps", f"{behind} steps passed by after step {step}", behind)
                step += behind
        self._end("steps")

    def _first(self, decider: Decider) -> _Plan:
        """Measure some decisions, of which the last is followed, before anything moves."""
        self._ask(decider)
        plan = self._take(decider.wait())
        for _ in range(_WARMUP - 1):
            self._ask(decider)
            plan = self._take(decider.wait())
        needed = self._needed_lead()
        if not self._fits(needed):
            raise UserError(
                f"a decision takes {1e3 * needed:.1f} ms, too long for chunks of {self._length} at "
                f"{1 / self._period:g} Hz with an overlap of {self._length - self._executed}"
            )
        self._counts["decisions"] = 1
        return _Plan(plan.actions, self._clock.now())

    def _step(self, decider: Decider, plan: _Plan, due: float) -> _Plan | None:
        """Wait for ``due`` and send an action; the plan that is followed then, None to end."""
        reading = self._takeover(plan) - self._lead
        if not self._pending and self._incoming is None and reading <= due:
            self._clock.sleep_until(reading)
            self._ask(decider)
        self._clock.sleep_until(due)
        if self._pending and (decided := decider.poll()) is not None:
            self._incoming = self._take(decided)
        plan = self._hand_over(plan, due)
        action = self._planned(plan, due)
        if action is None:
            if self._stops_late:
                return None
            action = self._last
            self._counts["held_steps"] += 1
        delay = self._clock.now() - due
        self._send(action)
        self._last = action
        self._counts["steps"] += 1
        self._jitter.add(delay)
        if delay > self._period / 2:
            self._miss("late_steps", f"an action was sent {1e3 * delay:.1f} ms late")
        return plan

    def _takeover(self, plan: _Plan) -> float:
        """The first step at which the next plan is to be followed."""
        ripe = plan.origin + self._executed * self._period
        steps = math.ceil((ripe - self._start) / self._period - _ROUNDING)
        return self._start + steps * self._period

    def _hand_over(self, plan: _Plan, due: float) -> _Plan:
        """The next plan, if it is time and it is there; else the present one."""
        index = plan.index(due, self._period)
        if index < self._executed:
            return plan
        if self._incoming is None:
            if not self._noted_late:
                self._noted_late = True
                self._miss("late_chunks", "a chunk was not there when it should have taken over")
            return plan
        new, self._incoming = self._incoming, None
        if new.index(due, self._period) >= self._length:  # all of it was for the past
            return plan
        self._noted_late = False
        self._counts["decisions"] += 1
        self._age.add(due - new.origin)
        left = self._length - index
        self._fading = (plan, left) if self._blends and left > 0 else None
        return new

    def _planned(self, plan: _Plan, due: float) -> np.ndarray | None:
        """What is to be done at ``due``; None if the plan has ended."""
        index = plan.index(due, self._period)
        if index >= self._length:
            return None
        action = plan.actions[index]
        if self._fading is not None:
            old, count = self._fading
            index = old.index(due, self._period)
            if index < self._length:
                part = (self._length - index) / (count + 1)
                return part * old.actions[index] + (1 - part) * action
            self._fading = None
        return action

    # Decisions.

    def _ask(self, decider: Decider) -> None:
        asked = self._clock.now()
        decider.ask(asked, self._read())
        self._pending = True

    def _take(self, decided: Decided) -> _Plan:
        """The plan of a decision, whose latency counts for the next."""
        self._pending = False
        if len(decided.chunk) != self._length or not np.isfinite(decided.chunk).all():
            raise UserError("the policy's chunk is not finite, or of another length: nothing sent")
        latency = decided.done - decided.asked
        self._recent.add(latency)
        self._latency.add(latency)
        if self._fits(self._needed_lead()):
            self._lead = self._needed_lead()
        return _Plan(decided.chunk, decided.asked)

    def _needed_lead(self) -> float:
        if self._fixed_lead is not None:
            return self._fixed_lead
        latency = self._recent.quantile(0.99)
        if self._margin is not None:
            return latency + self._margin
        least, wanted = _MARGINS
        return latency + max(least, min(wanted, _FULL * self._period - latency))

    def _fits(self, lead: float) -> bool:
        """Whether a plan is followed for long enough to make the next one meanwhile."""
        periods = lead / self._period
        return 0 <= periods <= self._executed - math.floor(periods)

    # The ends.

    def _end(self, reason: str) -> None:
        self._ended_by = self._ended_by or reason

    def _miss(self, kind: str, words: str, count: int = 1) -> None:
        self._counts[kind] += count
        self._on_miss(words)

    def _report(self) -> Report:
        return Report(
            **self._counts,
            jitter=self._jitter.spread(),
            latency=self._latency.spread(),
            age=self._age.spread(),
            ended_by=self._ended_by or "stop",
        )
