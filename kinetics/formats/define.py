"""What the exported datasets hold, variable by variable: as define.xml has it, and as a table.

Element names are those of CDISC Define-XML 2.1 on ODM 1.3.2 (ItemGroupDef, ItemDef, CodeList, def:Origin). It
is shaped like one and is not one: no schema has checked it, and a reviewer's guide it does not replace.
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
_PUBLISHED = {
    "ADaM": "ADaMIG 1.3", "NCA": "ADaMIG NCA 1.0", "PPK": "ADaM popPK 1.0", "PP": "SDTMIG 3.3 PP", "SDTM": "SDTMIG 3.3",
    "own": "none",
}  # fmt: skip


def define_table(datasets: Sequence[Dataset]) -> DataFrame:
    """One row a variable: dataset, variable, label, type, codelist, origin, published (where; none of an
    own one).
    """
    return DataFrame(
        {
            "dataset": dataset.name,
            "variable": name,
            "label": variable.label,
            "type": variable.kind,
            "codelist": "; ".join(f"{k} = {v}" for k, v in dataset.codelists.get(name, {}).items()),
            "origin": dataset.origins[name],
            "published": _PUBLISHED[variable.where],
        }
        for dataset in datasets
        for name, variable in dataset.variables.items()
    )


def define_xml(study: Study, datasets: Sequence[Dataset]) -> str:
    """The same as XML: an ItemGroupDef a dataset, an ItemDef a variable with its origin, a CodeList of its
    codes.
    """
    kind = "SYNTHETIC data" if study.synthetic else "measured data"
    odm = Element(
        "ODM", _NAMESPACES | {"ODMVersion": "1.3.2", "FileType": "Snapshot", "FileOID": f"DEF.{study.name}"}
    )
    root = SubElement(odm, "Study", OID=f"STUDY.{study.name}")
    facts = SubElement(root, "GlobalVariables")
    SubElement(facts, "StudyName").text = study.name
    SubElement(
        facts, "StudyDescription"
    ).text = f"{study.dictionary.title} [{kind}]. {study.dictionary.source}"
    SubElement(facts, "ProtocolName").text = study.name
    version = {"OID": f"MDV.{study.name}", "Name": f"{study.name}, ADaM-shaped: no conformance is claimed"}
    metadata = SubElement(root, "MetaDataVersion", version | {"def:DefineVersion": "2.1.0"})
    for dataset in datasets:
        _group(metadata, dataset)
    for element in (*_items(datasets), *_codelists(datasets)):
        metadata.append(element)
    indent(odm)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + tostring(odm, encoding="unicode") + "\n"


def _group(parent: Element, dataset: Dataset) -> None:
    """One dataset: its label, structure and variables in order."""
    facts = {
        "OID": f"IG.{dataset.name}",
        "Name": dataset.name,
        "Repeating": "Yes",
        "IsReferenceData": "No",
        "Purpose": "Analysis",
        "def:Structure": dataset.structure,
    }
    group = SubElement(parent, "ItemGroupDef", facts)
    _described(group, ". ".join((dataset.label, *dataset.notes)))
    for place, name in enumerate(dataset.variables, start=1):
        required = "Yes" if name in ("STUDYID", "USUBJID") else "No"
        SubElement(
            group, "ItemRef", ItemOID=f"IT.{dataset.name}.{name}", OrderNumber=str(place), Mandatory=required
        )


def _items(datasets: Sequence[Dataset]) -> Iterator[Element]:
    """An ItemDef for each variable of each dataset."""
    for dataset in datasets:
        for name, variable in dataset.variables.items():
            item = Element("ItemDef", OID=f"IT.{dataset.name}.{name}", Name=name, DataType=variable.kind)
            if variable.kind == "text":
                item.set("Length", str(max((len(str(v)) for v in dataset.frame[name]), default=1) or 1))
            _described(item, variable.label)
            if name in dataset.codelists:
                SubElement(item, "CodeListRef", CodeListOID=f"CL.{dataset.name}.{name}")
            kind, _, how = dataset.origins[name].partition(": ")
            origin = SubElement(item, "def:Origin", {"Type": kind, "Source": "Sponsor"})
            if how:
                _described(origin, how)
            yield item


def _codelists(datasets: Sequence[Dataset]) -> Iterator[Element]:
    """A CodeList for each coded variable."""
    for dataset in datasets:
        for name, codes in dataset.codelists.items():
            if name in dataset.variables:
                kind = dataset.variables[name].kind
                listed = Element("CodeList", OID=f"CL.{dataset.name}.{name}", Name=name, DataType=kind)
                for code, meaning in codes.items():
                    item = SubElement(listed, "CodeListItem", CodedValue=code)
                    SubElement(SubElement(item, "Decode"), "TranslatedText").text = meaning
                yield listed


def _described(parent: Element, text: str) -> None:
    SubElement(SubElement(parent, "Description"), "TranslatedText", {"xml:lang": "en"}).text = text
