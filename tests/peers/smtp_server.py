"""An SMTP server on loopback that writes each mail it gets as a line of JSON.

    smtp_server.py FILE [--port N] [--tls starttls|wrapper --cert PEM --key PEM]

Prints its port once it listens. With SMTP_USER and SMTP_PASSWORD in the environment it takes mail only from who has
logged in with them.
"""

import argparse
import asyncio
import email
import email.policy
import json
import os
import ssl

from aiosmtpd.smtp import SMTP, AuthResult

parser = argparse.ArgumentParser()
parser.add_argument("file")
parser.add_argument("--port", type=int, default=0)
parser.add_argument("--tls", choices=["starttls", "wrapper"])
parser.add_argument("--cert")
parser.add_argument("--key")
args = parser.parse_args()
user, password = os.environ.get("SMTP_USER"), os.environ.get("SMTP_PASSWORD")


class Writer:
    async def handle_DATA(self, server, session, envelope):
        mail = email.message_from_bytes(envelope.content, policy=email.policy.default)
        seen = {
            "envelope_from": envelope.mail_from,
            "envelope_to": envelope.rcpt_tos,
            "from": mail["from"],
            "to": mail["to"],
            "subject": mail["subject"],
            "text": mail.get_content(),
            "user": getattr(session, "auth_data", None),
            "tls": session.ssl is not None or args.tls == "wrapper",
        }
        with open(args.file, "a", encoding="utf-8") as file:
            file.write(json.dumps(seen) + "\n")
        return "250 OK"


def authenticate(server, session, envelope, mechanism, data):
    is_known = (data.login.decode(), data.password.decode()) == (user, password)
    return AuthResult(success=is_known, handled=False, auth_data=user if is_known else None)


def context():
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.load_cert_chain(args.cert, args.key)
    return made


def session():
    options = {"hostname": "localhost"}
    if user:
        options |= {"authenticator": authenticate, "auth_required": True, "auth_require_tls": False}
    if args.tls == "starttls":
        options |= {"tls_context": context(), "require_starttls": True}
    return SMTP(Writer(), **options)


async def main():
    loop = asyncio.get_running_loop()
    tls = context() if args.tls == "wrapper" else None
    server = await loop.create_server(session, "127.0.0.1", args.port, ssl=tls)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


asyncio.run(main())
