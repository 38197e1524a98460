"""Compiled programs kept between processes, so that a second fit of a plan neither traces nor compiles.

jax's own cache keeps what XLA made of a program, but each process has to trace the program before it can look
there. Here the key is known before anything is traced: the plan, the data, the equations, this package's
source, the versions and the machine.

An entry is a pickle, and to read a pickle is to run it. So entries lie in a folder of mode 0700 that belongs
to the user, and one that is damaged or of another key is compiled anew.
"""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import platform
import re
import threading
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental.serialize_executable import deserialize_and_load, serialize

from kinetics.content import code_sha256
from kinetics.files import write_atomic
from kinetics.model import Model
from kinetics.plan import BoundFit, plan_sha256

__all__ = ["ProgramStore", "program_store", "taken_from_cache"]

_MARK = b"kinetics compiled program 1\n"
_MOST = 64  # entries kept; the one used least recently goes first
_VERSIONS = ("jax", "jaxlib", "numpyro", "diffrax", "numpy", "scipy")
_FLAGS = ("XLA_FLAGS", "JAX_PLATFORMS")


class ProgramStore:
    """The compiled programs of one bound plan on this machine, by name; `key` is what they depend on."""

    def __init__(self, folder: Path, key: str) -> None:
        self.folder = folder
        self.key = key

    def path(self, name: str) -> Path:
        """The file of a program."""
        return self.folder / hashlib.sha256(f"{self.key} {name}".encode()).hexdigest()

    def load(self, name: str, devices: Sequence[jax.Device]) -> jax.stages.Compiled | None:  # pyright: ignore
        """The program, to run on these devices; None where there is none, or none that can be used."""
        path = self.path(name)
        try:
            if path.stat().st_uid != os.getuid():
                return None
            content = path.read_bytes()
        except OSError:
            return None
        head = len(_MARK) + 64
        mark = _MARK + hashlib.sha256(content[head:]).hexdigest().encode()
        if content[:head] != mark:
            return None
        try:
            program, inputs, outputs = pickle.loads(content[head:])
            loaded = deserialize_and_load(
                program,
                jax.tree.structure(inputs),
                jax.tree.structure(outputs),
                execution_devices=list(devices),
            )
            os.utime(path)
        except Exception:  # whatever is wrong with it, compiling is the remedy
            return None
        return loaded

    def save(self, name: str, compiled: jax.stages.Compiled) -> None:
        """Keep a program; nothing is kept where jax cannot write it or the disk does not take it."""
        try:
            program, inputs, outputs = serialize(compiled)
            trees = (jax.tree.unflatten(tree, range(tree.num_leaves)) for tree in (inputs, outputs))
            content = pickle.dumps((program, *trees))
        except Exception:  # jax has no list of what it raises; without an entry the next process compiles
            return
        mark = _MARK + hashlib.sha256(content).hexdigest().encode()
        try:
            write_atomic(self.path(name), mark + content).chmod(0o600)
            self._forget_oldest()
        except OSError:
            return

    def _forget_oldest(self) -> None:
        """Remove the entries used least recently, until `_MOST` are left."""
        entries = [path for path in self.folder.iterdir() if len(path.name) == 64]
        for path in sorted(entries, key=lambda path: path.stat().st_mtime)[:-_MOST]:
            path.unlink(missing_ok=True)


def program_store(bound: BoundFit, layout: str) -> ProgramStore | None:
    """The store of a bound plan whose chains lie as `layout` says; None where there is nothing to gain.

    That is without a compile cache, for a closed form, for a model that was not read from a file, and where
    the cache's folder belongs to somebody else.
    """
    cache = jax.config.jax_compilation_cache_dir  # pyright: ignore
    if not cache or bound.model.vector_field is None or not bound.model.sha256:
        return None
    folder = Path(cache) / "programs"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if folder.stat().st_uid != os.getuid():
            return None
        folder.chmod(0o700)
    except OSError:
        return None
    return ProgramStore(folder, _key(bound, layout))


class _Hits(threading.local):
    """How many programs jax has taken from its own cache in this thread."""

    number = 0


_hits = _Hits()


def _count_hit(event: str, **_: Any) -> None:
    if event == "/jax/compilation_cache/cache_hits":
        _hits.number += 1


jax.monitoring.register_event_listener(_count_hit)


def taken_from_cache() -> int:
    """How many programs jax has taken from its own cache in this thread.

    Such a program cannot be written again: jaxlib 0.10 would leave out functions of it, which is seen only
    when it is called.
    """
    return _hits.number


def _key(bound: BoundFit, layout: str) -> str:
    """The hash of everything that a program of this plan depends on."""
    parts = {
        "plan": plan_sha256(bound.plan),
        "model": [bound.model.sha256, bound.model.file_sha256, _equations_sha256(bound.model)],
        "data": [bound.study.sha256, list(bound.subjects), _sha256_of(bound.data)],
        "code": code_sha256(),
        "layout": layout,
        "versions": {name: version(name) for name in _VERSIONS},
        "python": platform.python_version(),
        "machine": [platform.machine(), _processor(), os.cpu_count()],
        "devices": [f"{d.platform} {d.device_kind}" for d in jax.devices()],
        "flags": {name: os.environ.get(name, "") for name in _FLAGS},
        "jax": {
            k: str(v) for k, v in sorted(jax.config.values.items()) if "cache" not in k and "log" not in k
        },
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def _processor() -> str:
    """The model and the instructions of the processor, where the system tells them."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    told = {line for line in lines if line.startswith(("model name", "flags", "Features"))}
    return " ".join(sorted(told))


def _sha256_of(tree: Any) -> str:
    """The hash of the arrays of a tree, and of its structure."""
    leaves, structure = jax.tree.flatten(tree)
    digest = hashlib.sha256(str(structure).encode())
    for leaf in leaves:
        x = np.asarray(leaf)
        digest.update(f"{x.dtype}{x.shape}".encode() + x.tobytes())
    return digest.hexdigest()


def _equations_sha256(model: Model) -> str:
    """The hash of a model's functions as traced: a model file may import what its own hash does not cover."""
    p = {k: jnp.ones(()) for k in model.parameters}
    y = {k: jnp.ones(()) for k in model.states}

    def everything(t: Any, y: Any, p: Any) -> Any:
        assert model.vector_field is not None
        return (
            model.vector_field(t, y, p),
            model.initial(p) if model.initial else {},
            [enter(p) for enter in model.dosing.values()],
            {k: lag(p) for k, lag in model.lag.items()},
            {k: output.value(y, p) for k, output in model.outputs.items()},
        )

    traced = jax.make_jaxpr(everything)(jnp.ones(()), y, p)
    text = re.sub(r"0x[0-9a-f]+", "", str(traced))
    return hashlib.sha256(f"{text} {_sha256_of(traced.consts)}".encode()).hexdigest()
