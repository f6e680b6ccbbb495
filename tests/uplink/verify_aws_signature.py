"""Checks a request's signature as AWS does, from its documentation ("Create a signed AWS API request") alone.

    verify_aws_signature.py FILE     a JSON object: method, target, headers, body (hexadecimal), region, service, keys
                                     (secrets by id)

Prints "good" or what is wrong; the exit code is 0 or 1.
"""
import hashlib
import hmac
import json
import re
import sys
from urllib.parse import quote, unquote


def canonical_query(query):
    pairs = [part.partition("=")[::2] for part in query.split("&") if part]
    encoded = sorted((quote(unquote(name), safe="-_.~"), quote(unquote(value), safe="-_.~")) for name, value in pairs)
    return "&".join(f"{name}={value}" for name, value in encoded)


def wanted_signature(request, signed_names, date, scope, secret):
    path, _, query = request["target"].partition("?")
    headers = {name.lower(): re.sub(" +", " ", value.strip()) for name, value in request["headers"].items()}
    canonical = "\n".join([
        request["method"],
        quote(path, safe="/-_.~"),
        canonical_query(query),
        "".join(f"{name}:{headers[name]}\n" for name in signed_names),
        ";".join(signed_names),
        hashlib.sha256(bytes.fromhex(request["body"])).hexdigest(),
    ])
    to_sign = "\n".join(["AWS4-HMAC-SHA256", date, "/".join(scope), hashlib.sha256(canonical.encode()).hexdigest()])
    key = ("AWS4" + secret).encode()
    for part in scope:
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    return hmac.new(key, to_sign.encode(), hashlib.sha256).hexdigest()


def problem_of(request):
    headers = {name.lower(): value for name, value in request["headers"].items()}
    found = re.fullmatch(r"AWS4-HMAC-SHA256 Credential=([^,/]+)/([^,]+), ?SignedHeaders=([^,]+), ?Signature=([0-9a-f]{64})",
                         headers.get("authorization", ""))
    if not found:
        return "no authorization of AWS"
    key_id, scope, names, signature = found.group(1), found.group(2).split("/"), found.group(3).split(";"), found.group(4)
    date = headers.get("x-amz-date", "")
    if scope != [date[:8], request["region"], request["service"], "aws4_request"]:
        return f"scope {scope}"
    if key_id not in request["keys"]:
        return f"key {key_id}"
    if names != sorted(names):
        return "headers are not in order"
    missing = ({"host"} | {name for name in headers if name.startswith("x-amz-")}) - set(names)
    if missing:
        return f"not signed: {sorted(missing)}"
    if not hmac.compare_digest(signature, wanted_signature(request, names, date, scope, request["keys"][key_id])):
        return "another signature"
    return ""


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        problem = problem_of(json.load(file))
    print(problem or "good")
    return 1 if problem else 0


if __name__ == "__main__":
    sys.exit(main())
