from .importing import ImportedModel as ImportedModel, import_sbml as import_sbml
