"""Trained policies on the Hub: the newest checkpoint of a run, and what says how good it is."""

import dataclasses
import json
import tempfile
from pathlib import Path

from driftpolicy.data.files import read_npz
from driftpolicy.errors import UserError
from driftpolicy.hub.card import policy_card, published, without_paths
from driftpolicy.hub.client import Place, pull, push
from driftpolicy.runs import load_run
from driftpolicy.runs.checkpoints import Checkpoint, latest
from driftpolicy.runs.folder import RunFolder

_PATTERNS = ("config.json", "summary.json", "checkpoints/*.npz")
_REPLACED = (*_PATTERNS, "*.csv", "*.png", "*.mp4")  # of another run, which may have got further
_FOLDER = "checkpoints"


def push_run(path: Path, name: str, *, private: bool) -> str:
    """Publish the policy of a run's newest checkpoint, with its settings, logs and card.

    The replay is left out, and the folders of this machine are taken out of the settings. What an
    earlier push has put there is replaced.

    Args:
        path: the run's folder.
        name: ``owner/name`` of the repository.
        private: whether a new repository is private.

    Returns:
        The commit's hash.

    Raises:
        UserError: if there is no policy, it needs code of the user's, or it cannot be published.
    """
    place = Place.parse(name)
    run = load_run(path)
    checkpoint = Checkpoint.load(latest(run.folder.checkpoints), policy_only=True)
    config = published(checkpoint.config)
    _require_registered(config.method, str(path))
    with tempfile.TemporaryDirectory() as temporary:
        folder = RunFolder(Path(temporary))
        policy = dataclasses.replace(checkpoint, config=config).save(folder.checkpoints)
        folder.create(config)
        files = {f"{_FOLDER}/{policy.name}": policy, folder.config_file.name: folder.config_file}
        if summary := run.summary:
            folder.write_summary(dataclasses.asdict(without_paths(summary)))
            files[folder.summary.name] = folder.summary
        for file in (run.folder.eval_csv, run.folder.train_csv, run.curves, run.film):
            if file is not None and file.exists():
                files[file.name] = file
        card = policy_card(place.name, run, config, checkpoint.step)
        message = f"{config.method} on {config.task}, seed {config.seed}, step {checkpoint.step}"
        return push(
            place, "model", files, card, replaces=_REPLACED, private=private, message=message
        )


def pull_policy(text: str) -> Path:
    """Return the checkpoint of a policy on the Hub, fetched into the Hub's cache.

    Args:
        text: ``hf://owner/name``, or with ``@`` and a commit's hash, a branch or a tag.

    Raises:
        UserError: if it cannot be had, holds no policy, or would need code to be loaded.
    """
    place = Place.parse(text)
    folder, _ = pull(place, "model", _PATTERNS)
    try:
        path = latest(folder / _FOLDER)
    except UserError:
        raise UserError(f"{text} holds no policy of driftpolicy (checkpoints/*.npz)") from None
    # A method may be the name of code. What comes from elsewhere chooses no code to run here.
    meta = read_npz(path, what="checkpoint", only=("meta",))
    try:
        method = json.loads(json.loads(str(meta["meta"]))["config"])["method"]
    except (KeyError, TypeError, ValueError):
        raise UserError(f"{text}: the checkpoint does not say its method") from None
    _require_registered(method, text)
    return path


def _require_registered(method: object, what: str) -> None:
    if not isinstance(method, str) or ":" in method:
        raise UserError(
            f"{what}: the method {method} is a file of code, which is neither published nor run "
            "from the Hub; export the policy instead (dfp export)"
        )
