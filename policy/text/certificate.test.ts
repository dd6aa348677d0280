// SPDX-License-Identifier: Apache-2.0
import { createHash } from "node:crypto";
import { expect, test } from "vitest";
import { at } from "#policy/json";
import { decodeCertificate } from "#policy/text/certificate";
import { marshalJson } from "#policy/text/go-json";

/** Made for this test by Go's crypto/x509, whose JSON of it is the expectation. */
const certificate = `-----BEGIN CERTIFICATE-----
MIIEQTCCAymgAwIBAgIEB1vNFTANBgkqhkiG9w0BAQsFADBNMQswCQYDVQQGEwJE
RTEbMAgGA1UEChMBQjAPBgNVBAoMCMOWcmcgPHg+MRQwEgYDVQQDEwtleGFtcGxl
Lm9yZzELMAkGA1UEBRMCNzcwIBcNMjQwMTAyMDMwNDA1WhgPMjA1NTAxMDIwMzA0
MDVaME0xCzAJBgNVBAYTAkRFMRswCAYDVQQKEwFCMA8GA1UECgwIw5ZyZyA8eD4x
FDASBgNVBAMTC2V4YW1wbGUub3JnMQswCQYDVQQFEwI3NzCCASIwDQYJKoZIhvcN
AQEBBQADggEPADCCAQoCggEBAMaUEkaa0cayQWbUGCdxhqnamcyyHJph5R9qhTXQ
CwH9sd/s+gy7mBU4doNsP03jybArKfVMcnPEqb3qUhW5RWtNDse2hvvaoRZUUlHh
+X8gK5S6AXMgPghazs0fqyBUjety+uA9byxrRo5tjYEV/4MYoBoOsIbk9VGARHFQ
+iKzRXBDwNlDIvDgWTIZRAEewGqSYH5H2w6QcQXhQ4Dz6USV8CHb7rYfd8O1lU4D
pd96ZpCjVKldNH+OeHvONH8DL/oZb/haFjRQK5kNN0FaGqezDGZey6ZtA2lPG+hE
dayvjrCPB4Y8CQSyasYTl2hPsrta5cAyXT7ZvuL3lIYv5j8CAwEAAaOCASUwggEh
MA4GA1UdDwEB/wQEAwIBhjAiBgNVHSUEGzAZBggrBgEFBQcDAQYIKwYBBQUHAwIG
AyoDBDASBgNVHRMBAf8ECDAGAQH/AgEAMB0GA1UdDgQWBBSka+53jhNApOH0Mo6C
C6dul/EdQDA+BggrBgEFBQcBAQQyMDAwFwYIKwYBBQUHMAGGC2h0dHA6Ly9vY3Nw
MBUGCCsGAQUFBzAChglodHRwOi8vY2EwWQYDVR0RBFIwUIINYS5leGFtcGxlLm9y
Z4IHKi5iLm9yZ4EHeEB5Lm9yZ4cECgECA4cQIAENuAAAAAAAAAAAAAAAAYYVc3Bp
ZmZlOi8vY2x1c3Rlci9ucy94MB0GA1UdHwQWMBQwEqAQoA6GDGh0dHA6Ly9jcmwv
eDANBgkqhkiG9w0BAQsFAAOCAQEAAp25IR9iuqF89OR7OUtcHSjgCErrHjGhcByO
2rNLHOyplPKXkPVj3vASKD27GJX331BKtkiuKFEl3HtOzGM6OAwmy6x2Rkx2791G
Kb684tuLpRFswWPzn5yM74mUAI2+gSc73HSoJYbm4I576GHl30orS1BmSF+T3vWu
d9gEomq6EnSjEhSBD3tXaRjbXloMlXDrOyBseqhvV01MW1pP00RUZl2o29y4UBKj
xhDCgLzHv0Wp8+JFkMoyaSnSZESjjSeZWVJr559RA1tvf0IYuvO4UDUFeijTN49o
LYkL5W9mrglyhUfeF9NAF3J5IN9A+Vo3c0pQ7XbZO1P0o9BIow==
-----END CERTIFICATE-----`;

const request = `-----BEGIN CERTIFICATE REQUEST-----
MIICzzCCAbcCAQAwTTELMAkGA1UEBhMCREUxGzAIBgNVBAoTAUIwDwYDVQQKDAjD
lnJnIDx4PjEUMBIGA1UEAxMLZXhhbXBsZS5vcmcxCzAJBgNVBAUTAjc3MIIBIjAN
BgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAxpQSRprRxrJBZtQYJ3GGqdqZzLIc
mmHlH2qFNdALAf2x3+z6DLuYFTh2g2w/TePJsCsp9Uxyc8SpvepSFblFa00Ox7aG
+9qhFlRSUeH5fyArlLoBcyA+CFrOzR+rIFSN63L64D1vLGtGjm2NgRX/gxigGg6w
huT1UYBEcVD6IrNFcEPA2UMi8OBZMhlEAR7AapJgfkfbDpBxBeFDgPPpRJXwIdvu
th93w7WVTgOl33pmkKNUqV00f454e840fwMv+hlv+FoWNFArmQ03QVoap7MMZl7L
pm0DaU8b6ER1rK+OsI8HhjwJBLJqxhOXaE+yu1rlwDJdPtm+4veUhi/mPwIDAQAB
oD0wOwYJKoZIhvcNAQkOMS4wLDAqBgNVHREEIzAhgg1hLmV4YW1wbGUub3Jnggcq
LmIub3JngQd4QHkub3JnMA0GCSqGSIb3DQEBCwUAA4IBAQBRcNQfxeyFOJZHJtg8
YfGL1bohJk4xL+mcDCUmtVK8A3vVq0GMwM6/XckoHZUT1M5fVQjmT486bLbqjNBZ
Yc6N7wN7sk7hUYiD+CtFNkQU6pWbAI2lrV2NfUuh8A5eIa6v+Q+N5FM4/b6Z6cE0
IxT0ddbWRSq2U0VG/CCrDWrsYvzkfYtcjuoUgzSPkCwUuWk6K62fo5JbqA0P1BsJ
W8NtylKhUriE76wL0hQxUOsym26QNsvHECuueMelLCawY3oKzRWmaRrbBGCA8XWQ
0V5KDi6UyHTAv4N0gmPUwD14B+P6PxfUk1zUtCEuC9NqojDZvtp41Bi13dFWowkY
+GTw
-----END CERTIFICATE REQUEST-----`;

test.each([
  {
    reason: "a certificate with every extension that x509.Certificate shows",
    pem: certificate,
    want: "fac76d0f6a9f9b371096fc7277ee125f5ccd41c8499830b1405490ad8e49a425",
  },
  {
    reason: "a certificate request",
    pem: request,
    want: "5435fb10b348a1ecef130fd8535c06133dc111c5346d8334e0ba9d7f7c25645e",
  },
])("gives the very JSON of Go: $reason", ({ pem, want }) => {
  const decoded = decodeCertificate(pem);
  const json = decoded.ok ? marshalJson(decoded.value) : decoded.message;
  expect(createHash("sha256").update(json).digest("hex")).toBe(want);
});

test("what policies ask for", () => {
  const decoded = decodeCertificate(certificate);
  const value = decoded.ok ? decoded.value : null;
  expect(at(value, ["NotAfter"])).toBe("2055-01-02T03:04:05Z");
  expect(at(value, ["Subject", "CommonName"])).toBe("example.org");
  expect(at(value, ["Subject", "Organization"])).toEqual(["B", "Örg <x>"]);
  expect(at(value, ["DNSNames"])).toEqual(["a.example.org", "*.b.org"]);
  expect(at(value, ["IPAddresses"])).toEqual(["10.1.2.3", "2001:db8::1"]);
  expect(at(value, ["KeyUsage"])).toBe(97);
  expect(at(value, ["SerialNumber"])).toBe(123456789);
});

test.each([
  { reason: "no PEM", pem: "x", want: "failed to decode PEM block" },
  {
    reason: "another kind of block",
    pem: certificate.replaceAll("CERTIFICATE", "PRIVATE KEY"),
    want: "PEM block neither contains a CERTIFICATE or CERTIFICATE REQUEST",
  },
  {
    reason: "no DER inside",
    pem: "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----",
    want: "x509: malformed certificate",
  },
])("refuses $reason", ({ pem, want }) => {
  expect(decodeCertificate(pem)).toEqual({ ok: false, message: want });
});

test("no damaged certificate makes it throw", () => {
  const body = certificate.split("\n").slice(1, -1).join("");
  const bytes = Buffer.from(body, "base64");
  for (let position = 0; position < bytes.length; position += 1) {
    const damaged = Buffer.from(bytes);
    damaged[position] = (damaged[position] ?? 0) ^ 0x95;
    const text = damaged.toString("base64");
    decodeCertificate(`-----BEGIN CERTIFICATE-----\n${text}\n-----END CERTIFICATE-----`);
  }
});
