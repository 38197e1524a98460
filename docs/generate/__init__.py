"""Pages of the site that are made from the code: the gallery, the reference, the commands, the dossier."""
