"""A certificate authority made with the openssl command: users' certificates and revocation lists."""

import os
import pathlib
import subprocess

CONFIG = """
[ca]
default_ca = here
[here]
database = {folder}/index.txt
serial = {folder}/serial
crlnumber = {folder}/crlnumber
new_certs_dir = {folder}
certificate = {folder}/ca.pem
private_key = {folder}/ca.key
default_md = sha256
default_crl_days = 1
policy = any
unique_subject = no
[any]
commonName = supplied
[req]
distinguished_name = name
[name]
[authority]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
[user]
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature, keyEncipherment
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
subjectAltName = URI:${{ENV::SUBJECT_URI}}
[list]
authorityKeyIdentifier = keyid
"""


class Authority:
    def __init__(self, folder, name):
        self.folder = pathlib.Path(folder)
        self.folder.mkdir()
        self.name = name
        self.config = self.folder / "openssl.cnf"
        self.config.write_text(CONFIG.format(folder=self.folder))
        (self.folder / "index.txt").touch()
        (self.folder / "serial").write_text("1000\n")
        (self.folder / "crlnumber").write_text("01\n")
        self.certificate = self.folder / "ca.pem"
        self._openssl("req", "-x509", "-newkey", "rsa:2048", "-noenc", "-days", "2",
                      "-config", self.config, "-extensions", "authority", "-subj", f"/CN={name}",
                      "-keyout", self.folder / "ca.key", "-out", self.certificate)

    def _openssl(self, *arguments, uri="sip:nobody@example.com"):
        subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True,
                       env=os.environ | {"SUBJECT_URI": uri})

    def issue(self, uri, name):
        """(certificate, key) files for the owner of this URI."""
        key, request = self.folder / f"{name}.key", self.folder / f"{name}.csr"
        certificate = self.folder / f"{name}.pem"
        self._openssl("req", "-new", "-newkey", "rsa:2048", "-noenc", "-config", self.config,
                      "-subj", f"/CN={name}", "-keyout", key, "-out", request)
        key.chmod(0o600)
        self._openssl("ca", "-batch", "-config", self.config, "-extensions", "user", "-days", "1",
                      "-notext", "-in", request, "-out", certificate, uri=uri)
        return certificate, key

    def revoke(self, certificate):
        self._openssl("ca", "-config", self.config, "-revoke", certificate)

    def write_list(self, file):
        """The present revocation list, put into place in one step."""
        new = pathlib.Path(f"{file}.new")
        self._openssl("ca", "-config", self.config, "-gencrl", "-crlexts", "list", "-out", new)
        new.replace(file)
