"""Run folders: what a run writes and how it is read again; nothing else knows their files."""

from driftpolicy.runs.run import Run, Summary, load_run
from driftpolicy.runs.tables import PHASES, Evaluation, Training

__all__ = ["PHASES", "Evaluation", "Run", "Summary", "Training", "load_run"]
