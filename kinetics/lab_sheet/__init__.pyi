from .importing import Imported as Imported, OpenQuestions as OpenQuestions, import_study as import_study
from .questions import Question as Question, item_answers as item_answers
