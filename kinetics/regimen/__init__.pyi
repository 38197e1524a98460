from .regimen import (
    Doses as Doses,
    Regimen as Regimen,
    doses_for as doses_for,
    doses_of as doses_of,
    entry_of as entry_of,
    pad_doses as pad_doses,
)
from .regimen_file import read_regimen as read_regimen
