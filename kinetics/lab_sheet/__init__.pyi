from .importing import (
    INTERPRETATIONS as INTERPRETATIONS,
    Imported as Imported,
    OpenQuestions as OpenQuestions,
    import_study as import_study,
    run_import as run_import,
)
from .questions import ALL as ALL, QUESTIONS as QUESTIONS, Question as Question
