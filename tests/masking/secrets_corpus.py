"""Settings as people write them, each with a secret in it."""

from __future__ import annotations

JWT = (
    "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0."
    "dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U"
)
PEM = "-----BEGIN PRIVATE KEY-----\nMIIEvPLANTED{}\n-----END PRIVATE KEY-----"

PLANTED: dict[str, tuple[str | int, str]] = {
    # name: value, the part of it that is secret
    "password": ("hunter2-planted", "hunter2-planted"),
    "db_pwd": ("pwd-planted", "pwd-planted"),
    "apiKey": ("camel-planted", "camel-planted"),
    "API-KEY": ("kebab-planted", "kebab-planted"),
    "privatekey": ("joined-planted", "joined-planted"),
    "aws_secret_access_key": (
        "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
        "wJalrXUtnFEMI",
    ),
    "HFToken": ("hf_planted0planted0", "hf_planted0"),
    "client.secret": ("dotted-planted", "dotted-planted"),
    "session_cookie": ("cookie-planted", "cookie-planted"),
    "pin": (493817, "493817"),
    "salt": ("salt-planted", "salt-planted"),
    "sentry-dsn": ("dsn-planted", "dsn-planted"),
    "auth_header": ("Basic auth-planted", "auth-planted"),
    "webhook": ("https://hooks.example.org/path-planted", "path-planted"),
    "database": ("postgresql://ann:url-planted@db/x?sslmode=require", "url-planted"),
    "slashed": ("postgresql://ann:sl/ash-planted@db/x", "ash-planted"),
    "signs": ("https://ann:p@ss/w@rd-planted@db/x", "rd-planted"),
    "digits": ("http://ann:12/34-planted@db/x", "34-planted"),
    "relative": ("//ann:relative-planted@host/x", "relative-planted"),
    "bare": ("ann:p@bare-planted@host/x", "bare-planted"),
    "bucket": ("https://x.example.org/c?sv=1&sig=sas-planted", "sas-planted"),
    "page": ("https://example.org/c#fragment-planted", "fragment-planted"),
    "libpq": ("host=db password=part-planted dbname=x", "part-planted"),
    "account": ("AccountName=n;AccountKey=cGxhbnRlZA==;Suffix=x", "cGxhbnRlZA=="),
    "arguments": ("--lr 0.1 --password flag-planted", "flag-planted"),
    "command": ("train.py --password=option-planted", "option-planted"),
    "java": ("java -Dpassword=define-planted Main", "define-planted"),
    "dashed": ("train --api-key=dash-planted", "dash-planted"),
    "dotted_text": (".password=dot-planted", "dot-planted"),
    "digit_first": ("2fa_password=digit-planted", "digit-planted"),
    "quoted_flag": ('--password "two words-planted"', "words-planted"),
    "several": ('{"passwords": ["one", "second-planted"]}', "second-planted"),
    "escaped": ('password="pl\\"ain-planted" x=1', "ain-planted"),
    "doubled": ("password='pl''twice-planted' x=1", "twice-planted"),
    "private_key_data": ("data-planted", "data-planted"),
    "api_key_config": ("config-planted", "config-planted"),
    "access-key-input": ("input-planted", "input-planted"),
    "dbpass": ("dbpass-planted", "dbpass-planted"),
    "mypw": ("mypw-planted", "mypw-planted"),
    "hmackey": ("hmackey-planted", "hmackey-planted"),
    "wifi_psk": ("psk-planted", "psk-planted"),
    "seed_words": ("seed-planted", "seed-planted"),
    "printed": ("['--password', 'printed-planted']", "printed-planted"),
    "printed_pair": ("('password', 'pair-planted')", "pair-planted"),
    "named_text": (
        '<add name="password" value="attribute-planted"/>',
        "attribute-planted",
    ),
    "tags": ("<password>tag-planted</password>", "tag-planted"),
    "typed_tag": ('<Password type="x"> tag planted</Password>', "tag planted"),
    "braces": ("DSN=x;PWD={pl;ain-planted}};x}", "ain-planted"),
    "inside": ('{"secrets": {"a": {"b": 1}, "c": "inner-planted"}}', "inner-planted"),
    "described": ('{"lr": 0.1, "token": "json-planted"}', "json-planted"),
    "asked_by": ("Bearer bearer-planted", "bearer-planted"),
    "aws": ("AKIAIOSFODNN7EXAMPLE", "AKIAIOSFODNN7EXAMPLE"),
    "github": (
        "ghp_0123456789abcdefABCDEF0123456789abcd",
        "0123456789abcdefABCDEF",
    ),
    "jwt_like": (JWT, "dozjgNryP4J3jVmNHl0w5N"),
    "pem_block": (PEM, "MIIEvPLANTED"),
    "hexadecimal": ("9f86d081884c7d659a2feaa0c55ad015", "9f86d081884c7d65"),
    "base64": ("q83vEjRWeJCrze8SNFZ4kKvN7xI0Vnic", "q83vEjRWeJCrze8"),
    "typed": ("Xk9#mP2$vL5@q", "Xk9#mP2"),
}

# Lists and mappings, of which one part names another.
PLANTED_BESIDE: dict[str, tuple[object, str]] = {
    "listed": (["x", "--password", "listed-planted"], "listed-planted"),
    "in_turn": (("lr", 0.1, "password", "turn-planted"), "turn-planted"),
    "numbered": (["--pin", 493817], "493817"),
    "named": ({"Name": "DB_PASSWORD", "Value": "named-planted"}, "named-planted"),
}

SECRETS = [secret for _, secret in PLANTED.values()]

HARMLESS: dict[str, object] = {
    "num_keys": 3,
    "keyword": "quick",
    "max_tokens": 512,
    "session_timeout_seconds": 30,
    "token-dropout": 0.1,
    "tokens-per-batch": 1024,
    "session-weight": 0.5,
    "bypass": "none",
    "compass": "north",
    "monkey": "business",
    "columns": ["name", "value"],
    "options": ["--max-tokens", 512, "--use-auth", "--lr", "0.1"],
    "tagged": "<name>ann</name>",
    "tokenizer": "bert-base-uncased",
    "author": "ann",
    "pin_memory": True,
    "use_auth": False,
    "weighted_by_key": "num-examples",
    "lr": 1e-3,
    "rounds": 20241124,
    "nothing": None,
    "model": "meta-llama/Llama-3.2-11B-Vision-Instruct",
    "trial": "FedAvg-ResNet50-CIFAR10-Dirichlet0.5-lr0.01-seed42",
    "path": "/srv/federations/hospital_2024/data.parquet",
    "reference": "models:/digits@production",
    "note": "cosine decay after a warm-up of ten rounds",
    "url": "https://example.org:8080/data/train.csv",
    "function": "flwr.serverapp.strategy.fedavg.FedAvg.<locals>.weighted_average",
    "layers": [16, 32, "relu"],
}
