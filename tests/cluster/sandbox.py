"""A throw-away Slurm on loopback: key, sockets, state, logs and configuration in one folder, nothing under
/etc.

As root, with Debian's slurmctld, slurmd, slurm-client and munge; no systemd, cgroups or slurmdbd. Nodes n1,
n2 ... are daemons of this machine; the partition `high` preempts `main` by requeue. Only processes of its own
pid files are ended.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

__all__ = ["Sandbox", "reason_not_to", "until"]

PROGRAMS = ("slurmctld", "slurmd", "sbatch", "srun", "squeue", "scontrol", "munged")
CONFIGURATION = """
ClusterName=sandbox
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={port}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge/munge.socket,cred_expire=5
CredType=cred/munge
StateSaveLocation={folder}/state
SlurmctldPidFile={folder}/slurmctld.pid
SlurmctldLogFile={folder}/log/slurmctld.log
SlurmdPidFile={folder}/slurmd.%n.pid
SlurmdLogFile={folder}/log/slurmd.%n.log
SlurmdSpoolDir={folder}/spool.%n
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SchedulerType=sched/backfill
SchedulerParameters=batch_sched_delay=0,sched_interval=5
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
DefMemPerCPU=1000
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
JobRequeue=1
KillWait=30
ReturnToService=2
SlurmdTimeout=8
SlurmctldTimeout=30
MpiDefault=none
GresTypes=gpu
SlurmdParameters=config_overrides
"""


def reason_not_to() -> str:
    """Why there can be no Slurm here; "" where there can."""
    missing = [name for name in PROGRAMS if shutil.which(name) is None]
    if missing:
        return f"no {', '.join(missing)}: apt-get install slurmctld slurmd slurm-client munge"
    return "" if os.geteuid() == 0 else "the sandbox's daemons have to be root's"


def until(true: Callable[[], object], seconds: float, what: str) -> None:
    """Wait until something is true; AssertionError when it takes too long."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, f"{what}: not within {seconds:g} s"
        time.sleep(0.2)


class Sandbox:
    """Nodes n1 ... of `cpus` cores and `gpus` pretended GPUs each, on ports from `port` on."""

    def __init__(
        self, folder: Path, *, nodes: int = 2, cpus: int = 2, gpus: int = 1, port: int = 26817
    ) -> None:
        self.folder, self.nodes, self.port = folder, [f"n{i}" for i in range(1, nodes + 1)], port
        host = socket.gethostname().partition(".")[0]
        for name in ("munge", "state", "log", "gpu"):
            (folder / name).mkdir(parents=True)
        (folder / "munge").chmod(0o711)
        lines = [CONFIGURATION.format(host=host, port=port, folder=folder)]
        for i, node in enumerate(self.nodes, start=1):
            lines.append(
                f"NodeName={node} NodeHostname={host} NodeAddr=127.0.0.1 Port={port + 100 + i} CPUs={cpus} "
                f"RealMemory=16000 Gres=gpu:{gpus} State=UNKNOWN"
            )
        lines.append("PartitionName=main Nodes=ALL Default=YES MaxTime=1-0 PriorityTier=1 GraceTime=30")
        lines.append("PartitionName=high Nodes=ALL MaxTime=1-0 PriorityTier=10 PreemptMode=OFF")
        self.configuration = folder / "slurm.conf"
        self.configuration.write_text("\n".join(lines) + "\n")
        for i in range(gpus):  # a device that nothing opens
            os.mknod(folder / "gpu" / f"gpu{i}", 0o20666, os.makedev(1, 3))
        last = f"[0-{gpus - 1}]" if gpus > 1 else "0"
        (folder / "gres.conf").write_text(f"Name=gpu File={folder}/gpu/gpu{last}\n" if gpus else "")

    @property
    def environment(self) -> dict[str, str]:
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("SLURM_", "SBATCH_"))}
        return kept | {"SLURM_CONF": str(self.configuration)}

    def start(self) -> None:
        munge = self.folder / "munge"
        (munge / "munge.key").write_bytes(os.urandom(128))
        (munge / "munge.key").chmod(0o600)
        of = {"key-file": "munge.key", "socket": "munge.socket", "pid-file": "munged.pid"}
        of |= {"log-file": "munged.log", "seed-file": "munged.seed"}
        self._run("munged", "--force", *(f"--{k}={munge / v}" for k, v in of.items()))
        self.start_controller()
        for node in self.nodes:
            self.start_node(node)
        until(lambda: self.states().count("idle") == len(self.nodes), 60, "idle nodes")

    def start_controller(self) -> None:
        self._run("slurmctld", "-f", str(self.configuration))

    def stop_controller(self) -> None:
        self._end(self.folder / "slurmctld.pid", signal.SIGTERM)

    def start_node(self, node: str) -> None:
        (self.folder / f"spool.{node}").mkdir(exist_ok=True)
        self._run("slurmd", "-f", str(self.configuration), "-N", node)

    def kill_node(self, node: str) -> None:
        """As when its power goes: the daemon and everything of its jobs, at once."""
        pids = [int((self.folder / f"slurmd.{node}.pid").read_text())]
        for step in self._steps(node):
            pids += [step, *descendants(step)]
        for pid in pids:
            _kill(pid, signal.SIGKILL)

    def states(self) -> list[str]:
        said = self.ask("sinfo", "--noheader", "--Node", "--partition=main", "--format=%T")
        return said.split()

    def ask(self, *command: str) -> str:
        """What a Slurm command says; "" where the controller is away."""
        done = subprocess.run(command, env=self.environment, capture_output=True, text=True, timeout=30)
        return done.stdout

    def stop(self) -> None:
        self.ask("scancel", "--user=root")
        until(lambda: not self.ask("squeue", "--noheader").strip(), 40, "an empty queue")
        pids = [
            *self.folder.glob("slurmd.*.pid"),
            self.folder / "slurmctld.pid",
            self.folder / "munge" / "munged.pid",
        ]
        for file in pids:
            self._end(file, signal.SIGTERM)

    def _steps(self, node: str) -> list[int]:
        """The processes that Slurm started on a node for its jobs: they write to its daemon's log."""
        log, found = str(self.folder / "log" / f"slurmd.{node}.log"), []
        for entry in Path("/proc").iterdir():
            try:
                step = entry.name.isdigit() and b"slurmstepd" in (entry / "cmdline").read_bytes()
                if step and any(os.readlink(fd) == log for fd in (entry / "fd").iterdir()):
                    found.append(int(entry.name))
            except OSError:  # it has just ended
                continue
        return found

    def _run(self, *command: str) -> None:
        done = subprocess.run(command, env=self.environment, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, f"{' '.join(command)}: {done.stderr}"

    def _end(self, file: Path, number: signal.Signals) -> None:
        try:
            pid = int(file.read_text())
        except (OSError, ValueError):
            return
        _kill(pid, number)
        until(lambda: not Path(f"/proc/{pid}").exists(), 30, f"the end of {file.stem}")


def descendants(pid: int) -> list[int]:
    """The processes below one, at this moment."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except (OSError, IndexError, ValueError):
                continue
            children.setdefault(parent, []).append(int(entry.name))
    found, left = [], [pid]
    while left:
        below = children.get(left.pop(), [])
        found += below
        left += below
    return found


def _kill(pid: int, number: int) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return
