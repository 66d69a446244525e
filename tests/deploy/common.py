"""A control loop's time without the machine's: exact, however slow or busy it is."""

from driftpolicy.deploy.timing import ThreadDecider
from tests.waiting import PATIENCE


class Clock:
    """Shows the time to which it was set or slept."""

    def __init__(self):
        self.time = 0.0

    def now(self):
        return self.time

    def sleep_until(self, moment):
        self.time = max(self.time, moment)


class Answered(ThreadDecider):
    """Its thread has answered before the loop goes on: the time is what the policy made of it."""

    def ask(self, asked, observation):
        super().ask(asked, observation)
        self._answers.put(self._answers.get(timeout=PATIENCE))
