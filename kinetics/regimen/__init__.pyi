from .regimen import Regimen as Regimen
from .regimen_file import read_regimen as read_regimen
from .schedule import (
    Doses as Doses,
    doses_for as doses_for,
    doses_of as doses_of,
    entry_of as entry_of,
    pad_doses as pad_doses,
)
