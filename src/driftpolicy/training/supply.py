"""Where the prior windows of gradient steps come from: the device, or the disk, read ahead."""

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PRNGKeyArray

from driftpolicy.data.transitions import Prior, Rows
from driftpolicy.data.windows import Fetched, WindowSpec, draw
from driftpolicy.training.blocks import step_keys

AHEAD = 4
"""Blocks of gradient steps whose windows are read while earlier ones are trained on."""


class Resident:
    """Prior data on the device: the compiled program draws from them."""

    def __init__(self, prior: Prior):
        """Only what is on the device is kept."""
        self._rows = prior.resident()

    def rows(self, first: int, count: int, steps: int, marks: Any) -> Rows:
        """All of them, whatever the steps."""
        return self._rows

    def close(self) -> None:
        """Nothing to end."""


class Streamed:
    """Prior data on the disk: the host draws as the compiled program does, and hands over windows.

    What a step trains on depends on the key and the step alone, not on when it was read.
    """

    def __init__(
        self,
        prior: Prior,
        key: PRNGKeyArray,
        spec: WindowSpec,
        batch_size: int,
        blocks: Iterator[tuple[int, int, int]],
    ):
        """A run's windows.

        Args:
            prior: prior data.
            key: the run's, for updates.
            spec: of the windows.
            batch_size: windows per step.
            blocks: the (first, count, steps) that :meth:`rows` will be asked for without marks, in
                this order.
        """
        self._prior, self._spec, self._batch_size = prior, spec, batch_size
        self._host = jax.local_devices(backend="cpu")[0]
        self._key = jax.device_put(key, self._host)
        self._blocks = blocks
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="windows")
        self._ahead: deque[tuple[tuple[int, int, int], Future[Fetched]]] = deque()

    def rows(self, first: int, count: int, steps: int, marks: Any) -> Fetched:
        """Return the windows of ``count`` steps from ``first`` on, padded to ``steps``.

        With ``marks``, what the replay held at each of them, they are read at once: what is drawn
        was not known before. So is what stands in for a run that makes no step.
        """
        if marks is not None or count == 0:
            return self._fetch(first, count, steps, marks)
        while len(self._ahead) <= AHEAD and (block := next(self._blocks, None)):
            self._ahead.append((block, self._thread.submit(self._fetch, *block, None)))
        block, windows = self._ahead.popleft()
        assert block == (first, count, steps)
        return windows.result()

    def _fetch(self, first: int, count: int, steps: int, marks: Any) -> Fetched:
        """Read and hand to the device."""
        held, batch_size = len(self._prior), self._batch_size
        with jax.default_device(self._host):
            drawn = np.array(
                _draws(
                    self._key,
                    np.int32(first),
                    held,
                    marks,
                    steps=steps,
                    batch_size=batch_size,
                    online_share=self._spec.online_share,
                )
            )
        drawn = np.where(drawn < held, drawn, 0)  # the others come from the replay
        drawn[count:] = drawn[:1]
        rows = self._prior.gather(drawn.reshape(-1), self._spec.length)
        return Fetched(
            Rows(*(jnp.asarray(a.reshape(steps, -1, *a.shape[1:])) for a in rows)),
            jnp.int32(held),
        )

    def close(self) -> None:
        """End the thread; what it was reading is dropped."""
        self._thread.shutdown(cancel_futures=True)


Supply = Resident | Streamed


@partial(jax.jit, static_argnames=("steps", "batch_size", "online_share"))
def _draws(
    key: PRNGKeyArray,
    first: Any,
    held: Any,
    marks: Any,
    *,
    steps: int,
    batch_size: int,
    online_share: float | None,
) -> jax.Array:
    """``[steps, batch]``: what the compiled program draws at each of so many steps."""

    def one(step: Any, marks: Any) -> jax.Array:
        return draw(step_keys(key, step)[0], held, marks, batch_size, online_share)

    return jax.vmap(one)(first + jnp.arange(steps), marks)
