from .importing import ImportedModel as ImportedModel, import_sbml as import_sbml
from .reading import read_sbml as read_sbml
from .refusals import open_model as open_model
