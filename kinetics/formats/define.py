"""A description of the exported datasets, variable by variable: as define.xml, and as a table.

Element names are those of CDISC Define-XML 2.1 on ODM 1.3.2 (ItemGroupDef, ItemDef, CodeList, def:Origin).
The file has the shape of a Define-XML and is none: it was not checked against a schema, and it does not
replace a reviewer's guide.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from pandas import DataFrame

from kinetics.formats.dataset import Dataset
from kinetics.study import Study

__all__ = ["define_table", "define_xml"]

_NAMESPACES = {
    "xmlns": "http://www.cdisc.org/ns/odm/v1.3",
    "xmlns:def": "http://www.cdisc.org/ns/def/v2.1",
    "xmlns:xlink": "http://www.w3.org/1999/xlink",
}
# Variable.where -> the guide that publishes the variable
_GUIDES = {
    "ADaM": "ADaMIG 1.3",
    "NCA": "ADaMIG NCA 1.0",
    "PPK": "ADaM popPK 1.0",
    "PP": "SDTMIG 3.3 PP",
    "SDTM": "SDTMIG 3.3",
    "own": "none",
}


def define_table(datasets: Sequence[Dataset]) -> DataFrame:
    """One row per variable: dataset, variable, label, type, codelist, origin, published.

    `published` names the guide that defines the variable; it is "none" where the study or this package does.
    """
    return DataFrame(
        {
            "dataset": dataset.name,
            "variable": name,
            "label": variable.label,
            "type": variable.kind,
            "codelist": "; ".join(f"{k} = {v}" for k, v in dataset.codelists.get(name, {}).items()),
            "origin": dataset.origins[name],
            "published": _GUIDES[variable.where],
        }
        for dataset in datasets
        for name, variable in dataset.variables.items()
    )


def define_xml(study: Study, datasets: Sequence[Dataset], *, suffix: str = "") -> str:
    """The description as XML.

    An ItemGroupDef for each dataset, an ItemDef with its origin for each variable, and a CodeList for each
    coded variable. With the `suffix` of the datasets' files (".xpt") each ItemGroupDef names its file.
    """
    kind = "SYNTHETIC data" if study.synthetic else "measured data"
    odm = Element(
        "ODM", _NAMESPACES | {"ODMVersion": "1.3.2", "FileType": "Snapshot", "FileOID": f"DEF.{study.name}"}
    )
    root = SubElement(odm, "Study", OID=f"STUDY.{study.name}")
    facts = SubElement(root, "GlobalVariables")
    SubElement(facts, "StudyName").text = study.name
    description = SubElement(facts, "StudyDescription")
    description.text = f"{study.dictionary.title} [{kind}]. {study.dictionary.source}"
    SubElement(facts, "ProtocolName").text = study.name
    version = {"OID": f"MDV.{study.name}", "Name": f"{study.name}, ADaM-shaped: no conformance is claimed"}
    metadata = SubElement(root, "MetaDataVersion", version | {"def:DefineVersion": "2.1.0"})
    for dataset in datasets:
        _add_group(metadata, dataset, suffix)
    for element in (*_items(datasets), *_codelists(datasets)):
        metadata.append(element)
    indent(odm)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + tostring(odm, encoding="unicode") + "\n"


def _add_group(parent: Element, dataset: Dataset, suffix: str) -> None:
    """Add the ItemGroupDef of a dataset: its label, structure, variables in order, and its file."""
    facts = {
        "OID": f"IG.{dataset.name}",
        "Name": dataset.name,
        "Repeating": "Yes",
        "IsReferenceData": "No",
        "Purpose": "Analysis",
        "def:Structure": dataset.structure,
    }
    file = f"{dataset.name.lower()}{suffix}"
    if suffix:
        facts["def:ArchiveLocationID"] = f"LF.{dataset.name}"
    group = SubElement(parent, "ItemGroupDef", facts)
    _describe(group, ". ".join((dataset.label, *dataset.notes)))
    for place, name in enumerate(dataset.variables, start=1):
        required = "Yes" if name in ("STUDYID", "USUBJID") else "No"
        SubElement(
            group, "ItemRef", ItemOID=f"IT.{dataset.name}.{name}", OrderNumber=str(place), Mandatory=required
        )
    if suffix:
        leaf = SubElement(group, "def:leaf", {"ID": f"LF.{dataset.name}", "xlink:href": file})
        SubElement(leaf, "def:title").text = file


def _items(datasets: Sequence[Dataset]) -> Iterator[Element]:
    """An ItemDef for each variable of each dataset."""
    for dataset in datasets:
        for name, variable in dataset.variables.items():
            item = Element("ItemDef", OID=f"IT.{dataset.name}.{name}", Name=name, DataType=variable.kind)
            if variable.kind == "text":
                longest = max((len(str(value)) for value in dataset.frame[name]), default=1)
                item.set("Length", str(longest or 1))
            _describe(item, variable.label)
            if name in dataset.codelists:
                SubElement(item, "CodeListRef", CodeListOID=f"CL.{dataset.name}.{name}")
            kind, _, derivation = dataset.origins[name].partition(": ")
            origin = SubElement(item, "def:Origin", {"Type": kind, "Source": "Sponsor"})
            if derivation:
                _describe(origin, derivation)
            yield item


def _codelists(datasets: Sequence[Dataset]) -> Iterator[Element]:
    """A CodeList for each coded variable."""
    for dataset in datasets:
        for name, codes in dataset.codelists.items():
            if name in dataset.variables:
                kind = dataset.variables[name].kind
                codelist = Element("CodeList", OID=f"CL.{dataset.name}.{name}", Name=name, DataType=kind)
                for code, meaning in codes.items():
                    item = SubElement(codelist, "CodeListItem", CodedValue=code)
                    SubElement(SubElement(item, "Decode"), "TranslatedText").text = meaning
                yield codelist


def _describe(parent: Element, text: str) -> None:
    """Add an English description to an element."""
    SubElement(SubElement(parent, "Description"), "TranslatedText", {"xml:lang": "en"}).text = text
