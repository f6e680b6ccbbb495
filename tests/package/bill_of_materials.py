"""What a bill of materials has to be: CycloneDX 1.5, as far as its schema asks for what stands in ours, and true."""
import re

SERIAL = re.compile(r"^urn:uuid:[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")
TIME = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$")
PURL = re.compile(r"^pkg:deb/debian/[a-z0-9.%B-]+@[A-Za-z0-9.%~-]+\?arch=(amd64|arm64|armhf|all)&distro=debian-12"
                  r"(?:&upstream=([a-z0-9.%B-]+?)(?:%40[A-Za-z0-9.%~-]+)?)?$")
MAIN_PURL = re.compile(r"^pkg:generic/tidegate@\d+\.\d+\.\d+$")
TOP = {"$schema", "bomFormat", "specVersion", "version", "serialNumber", "metadata", "components", "dependencies"}
COMPONENT = {"type", "bom-ref", "supplier", "name", "version", "scope", "purl", "properties", "components", "externalReferences"}
HOW = {"linked": "required", "compiled in": "required", "loaded when it is configured": "optional"}


def property_of(component, name):
    return next((entry["value"] for entry in component["properties"] if entry["name"] == name), None)


def faults_of_component(component):
    name = component.get("name")
    if set(component) - COMPONENT:
        yield f"{name}: unknown members {set(component) - COMPONENT}"
    if component.get("type") != "library" or not component.get("version") or component.get("bom-ref") != component.get("purl"):
        yield f"{name}: type, version or bom-ref"
    purl = PURL.match(component.get("purl", ""))
    # Debian's security tracker, and so whoever looks for known holes, goes by the source package.
    if not purl or (purl.group(2) or name).replace("%2B", "+") != property_of(component, "debian:source"):
        yield f"{name}: purl {component.get('purl')}"
    how = property_of(component, "tidegate:how")
    if HOW.get(how) != component.get("scope"):
        yield f"{name}: {how} and {component.get('scope')}"
    for file in component.get("components", []):
        if file["type"] != "file" or not re.match(r"^[0-9a-f]{64}$", file["hashes"][0]["content"]) or file["hashes"][0]["alg"] != "SHA-256":
            yield f"{name}: file {file}"


def faults_of(bill):
    if set(bill) != TOP or bill["bomFormat"] != "CycloneDX" or bill["specVersion"] != "1.5" or bill["version"] != 1:
        yield f"the head: {sorted(bill)}"
        return
    if not SERIAL.match(bill["serialNumber"]) or not TIME.match(bill["metadata"]["timestamp"]):
        yield "serial number or time"
    main = bill["metadata"]["component"]
    if main["type"] != "application" or main["name"] != "tidegate" or not MAIN_PURL.match(main.get("purl", "")):
        yield f"the component that it is of: {main}"
    # The least that the NTIA asks for: who wrote it, and who supplies each component.
    if not bill["metadata"].get("authors") or not all(one.get("supplier", {}).get("name") for one in [main, *bill["components"]]):
        yield "an author or a supplier is missing"
    references = [component.get("bom-ref") for component in bill["components"]] + [main["bom-ref"]]
    if len(set(references)) != len(references):
        yield "a component stands there twice"
    for component in bill["components"]:
        yield from faults_of_component(component)
    # What stands not there has dependencies that nobody knows, says CycloneDX; what has none stands there without.
    if {edge["ref"] for edge in bill["dependencies"]} != set(references):
        yield f"dependencies: nothing is said of {set(references) - {edge['ref'] for edge in bill['dependencies']}}"
    for edge in bill["dependencies"]:
        unknown = {edge["ref"], *edge["dependsOn"]} - set(references)
        if unknown:
            yield f"dependencies name what is no component: {unknown}"


def files_of(bill, scope):
    return {file["name"] for component in bill["components"] if component["scope"] == scope for file in component.get("components", [])}
