"""The bill of materials in CycloneDX' format: the operator, what its lock file pins, and the image it is built in."""

import hashlib
import uuid
from collections.abc import Iterable
from datetime import datetime
from importlib import metadata

from cyclonedx.model import HashAlgorithm, HashType, Property
from cyclonedx.model.bom import Bom, BomMetaData
from cyclonedx.model.bom_ref import BomRef
from cyclonedx.model.component import Component, ComponentScope, ComponentType
from cyclonedx.model.dependency import Dependency
from cyclonedx.model.license import LicenseAcknowledgement, LicenseExpression
from cyclonedx.output.json import JsonV1Dot6
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from packageurl import PackageURL
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from supply.image import DebianPackage
from supply.licences import licence
from supply.locks import Pin

NAME = "modelward"


def bill(pins: Iterable[Pin], base: str, written: datetime, debian: Iterable[DebianPackage] = ()) -> str:
    """The bill as JSON. `base` is the reference of the image that the operator's is built in.

    `debian` are the packages that an image has files of, where there is an image to look into. The same input gives the same text, serial number included.
    """
    pins = sorted(pins, key=lambda pin: pin.name)
    operator, image = _operator(), _base(base)
    components = {pin.name: _package(pin) for pin in pins}
    files = [_debian(package) for package in debian]
    bom = Bom(
        components=[*components.values(), image, *files],
        serial_number=_serial(repr([pins, base, written, sorted(str(each.purl) for each in files)])),
        metadata=BomMetaData(component=operator, timestamp=written),
        dependencies=_dependencies(operator, components, image, files),
    )
    return JsonV1Dot6(bom).output_as_string(indent=2) + "\n"


def schema_errors(text: str) -> str | None:
    """What the schema of CycloneDX 1.6 says against the text; None if nothing."""
    found = JsonStrictValidator(SchemaVersion.V1_6).validate_str(text)
    return None if found is None else repr(found)


def _operator() -> Component:
    version = metadata.version(NAME)
    return Component(
        name=NAME,
        version=version,
        type=ComponentType.APPLICATION,
        bom_ref=f"{NAME}@{version}",
        licenses=[_stated("Apache-2.0")],
    )


def _package(pin: Pin) -> Component:
    purl = PackageURL(type="pypi", name=pin.name, version=pin.version)
    expression = licence(pin)
    return Component(
        name=pin.name,
        version=pin.version,
        type=ComponentType.LIBRARY,
        bom_ref=str(purl),
        purl=purl,
        scope=ComponentScope.REQUIRED,
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=each) for each in pin.sha256],
        licenses=[_stated(expression)] if expression else [],
        properties=[Property(name="modelward:hashes", value="one for each file that pip accepts")],
    )


def _base(reference: str) -> Component:
    """The image that Python and the shared libraries are copied from; by digest in a release."""
    name, _, digest = reference.partition("@")
    name, _, tag = name.rpartition(":")
    return Component(
        name=name,
        version=digest or tag,
        type=ComponentType.CONTAINER,
        bom_ref=reference,
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=digest.removeprefix("sha256:"))]
        if digest
        else [],
        properties=[
            Property(name="modelward:use", value="Python, its libraries and certificates are copied from it")
        ],
    )


def _debian(package: DebianPackage) -> Component:
    place = {"arch": package.architecture, "distro": "debian"}
    purl = PackageURL(
        type="deb", namespace="debian", name=package.name, version=package.version, qualifiers=place
    )
    return Component(
        name=package.name, version=package.version, type=ComponentType.LIBRARY, bom_ref=str(purl), purl=purl
    )


def _stated(expression: str) -> LicenseExpression:
    return LicenseExpression(expression, acknowledgement=LicenseAcknowledgement.DECLARED)


def _dependencies(
    operator: Component, packages: dict[str, Component], base: Component, debian: list[Component]
) -> list[Dependency]:
    """Who needs whom, as the installed packages' metadata has it."""
    needs = {name: [packages[each].bom_ref for each in _needs(name) if each in packages] for name in packages}
    direct = [packages[each].bom_ref for each in _needs(NAME) if each in packages]
    return [
        _dependency(operator.bom_ref, [*direct, base.bom_ref]),
        *(_dependency(packages[name].bom_ref, found) for name, found in needs.items()),
        _dependency(base.bom_ref, [package.bom_ref for package in debian]),
    ]


def _dependency(of: BomRef, on: Iterable[BomRef]) -> Dependency:
    return Dependency(ref=of, dependencies=[Dependency(ref=each) for each in on])


def _needs(name: str) -> set[str]:
    """Names that the package requires; extras that nobody asked for are not in the lock and fall away there."""
    return {canonicalize_name(Requirement(text).name) for text in metadata.requires(name) or []}


def _serial(content: str) -> uuid.UUID:
    digest = hashlib.sha256(f"{metadata.version(NAME)}\0{content}".encode())
    return uuid.UUID(bytes=digest.digest()[:16], version=4)
