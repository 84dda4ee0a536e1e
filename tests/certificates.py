"""Certificates for tests, made with openssl(1): an authority of our own and what it signs."""

import pathlib
import ssl
import subprocess


def _openssl(*arguments):
	subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True, timeout=60)


class Pair:
	def __init__(self, certificate, key):
		self.certificate, self.key = certificate, key

	def config(self):
		return {"certificate": str(self.certificate), "key": str(self.key)}

	def server_context(self):
		context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
		context.load_cert_chain(self.certificate, self.key)
		return context


def self_signed(folder, name, file="own"):
	pair = Pair(pathlib.Path(folder) / f"{file}.pem", pathlib.Path(folder) / f"{file}.key")
	_openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "30",
		"-subj", f"/CN={name}", "-addext", f"subjectAltName=DNS:{name}", "-keyout", pair.key, "-out", pair.certificate)
	return pair


class Authority:
	def __init__(self, folder):
		self.folder = pathlib.Path(folder)
		self.pair = Pair(self.folder / "ca.pem", self.folder / "ca.key")
		_openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "30",
			"-subj", "/CN=Test authority", "-addext", "basicConstraints=critical,CA:TRUE", "-keyout", self.pair.key,
			"-out", self.pair.certificate)

	def sign(self, name, file, days=30):
		pair = Pair(self.folder / f"{file}.pem", self.folder / f"{file}.key")
		request, extensions = self.folder / f"{file}.csr", self.folder / f"{file}.ext"
		extensions.write_text(f"subjectAltName=DNS:{name}\n")
		_openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj", f"/CN={name}",
			"-keyout", pair.key, "-out", request)
		_openssl("x509", "-req", "-in", request, "-CA", self.pair.certificate, "-CAkey", self.pair.key,
			"-CAcreateserial", "-days", str(days), "-extfile", extensions, "-out", pair.certificate)
		return pair
