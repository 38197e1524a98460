from .attempts import Attempts as Attempts, claimed as claimed
from .batch_status import forgive as forgive, status as status
from .collection import collect as collect
from .folder import BatchFolder as BatchFolder, write_batch as write_batch
from .grid import Task as Task, tasks_of as tasks_of
from .local import run_here as run_here
from .preflight_checks import Preflight as Preflight, preflight as preflight, writable as writable
from .slurm import in_queue as in_queue, require_slurm as require_slurm, submit as submit
from .spec import BatchPlan as BatchPlan, read_batch as read_batch
from .worker import (
    AGAIN as AGAIN,
    REFUSED as REFUSED,
    STOPPED as STOPPED,
    UNWRITABLE as UNWRITABLE,
    job_of_slurm as job_of_slurm,
)
