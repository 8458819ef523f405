

SET statement_timeout = 0;
SET lock_timeout = 0;
SET idle_in_transaction_session_timeout = 0;
SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;
SELECT pg_catalog.set_config('search_path', '', false);
SET check_function_bodies = false;
SET xmloption = content;
SET client_min_messages = warning;
SET row_security = off;

CREATE FUNCTION public.model_audit_logs_append_only() RETURNS trigger
    LANGUAGE plpgsql
    AS $$ BEGIN RAISE EXCEPTION 'the audit log is append-only'; END $$;

SET default_tablespace = '';

SET default_table_access_method = heap;

CREATE TABLE public.alembic_version (
    version_num character varying(32) NOT NULL
);

CREATE TABLE public.contributions (
    id bigint NOT NULL,
    round_id bigint NOT NULL,
    node_id text NOT NULL,
    status character varying(16) NOT NULL,
    num_examples double precision,
    weight_share double precision,
    metrics json NOT NULL,
    error_code integer,
    error_reason text NOT NULL,
    CONSTRAINT ck_contributions_status CHECK (((status)::text = ANY (ARRAY[('ok'::character varying)::text, ('error'::character varying)::text, ('no_reply'::character varying)::text])))
);

CREATE SEQUENCE public.contributions_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;

ALTER SEQUENCE public.contributions_id_seq OWNED BY public.contributions.id;

CREATE TABLE public.drift_baselines (
    id bigint NOT NULL,
    version_id bigint NOT NULL,
    content json NOT NULL,
    created_at timestamp with time zone NOT NULL
);

CREATE SEQUENCE public.drift_baselines_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;

ALTER SEQUENCE public.drift_baselines_id_seq OWNED BY public.drift_baselines.id;

CREATE TABLE public.drift_findings (
    id bigint NOT NULL,
    model_id bigint NOT NULL,
    version_id bigint,
    run_id bigint,
    kind character varying(16) NOT NULL,
    subject text NOT NULL,
    since text NOT NULL,
    found text NOT NULL,
    statistic double precision NOT NULL,
    threshold double precision NOT NULL,
    severity character varying(16) NOT NULL,
    message text NOT NULL,
    created_at timestamp with time zone NOT NULL
);

CREATE SEQUENCE public.drift_findings_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;

ALTER SEQUENCE public.drift_findings_id_seq OWNED BY public.drift_findings.id;

CREATE TABLE public.model_aliases (
    id bigint NOT NULL,
    model_id bigint NOT NULL,
    alias character varying(128) NOT NULL,
    version_id bigint NOT NULL,
    updated_at timestamp with time zone NOT NULL
);

CREATE SEQUENCE public.model_aliases_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;

ALTER SEQUENCE public.model_aliases_id_seq OWNED BY public.model_aliases.id;

CREATE TABLE public.model_audit_logs (
    id bigint NOT NULL,
    "timestamp" timestamp with time zone NOT NULL,
    action character varying(64) NOT NULL,
    actor text NOT NULL,
    model character varying(128) NOT NULL,
    version character varying(32),
    reason text NOT NULL,
    details json NOT NULL,
    previous_hash character varying(64) NOT NULL,
    entry_hash character varying(64) NOT NULL
);

CREATE SEQUENCE public.model_audit_logs_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;

ALTER SEQUENCE public.model_audit_logs_id_seq OWNED BY public.model_audit_logs.id;

CREATE TABLE public.model_versions (
    id bigint NOT NULL,
    model_id bigint NOT NULL,
    version character varying(32) NOT NULL,
    major integer NOT NULL,
    minor integer NOT NULL,
    patch integer NOT NULL,
    run_id bigint,
    round_id bigint,
    storage_path text NOT NULL,
    checksum character varying(64) NOT NULL,
    file_size_bytes bigint NOT NULL,
    fingerprint character varying(64) NOT NULL,
    metrics json NOT NULL,
    val_loss double precision,
    val_accuracy double precision,
    architecture text NOT NULL,
    framework text NOT NULL,
    model_config json NOT NULL,
    tags json NOT NULL,
    parent_id bigint,
    parent_version character varying(32),
    num_clients integer NOT NULL,
    total_rounds integer NOT NULL,
    epsilon double precision,
    delta double precision,
    validation_errors json NOT NULL,
    status character varying(16) NOT NULL,
    is_production boolean NOT NULL,
    created_at timestamp with time zone NOT NULL,
    promoted_at timestamp with time zone,
    archived_at timestamp with time zone,
    description text NOT NULL,
    created_by text NOT NULL,
    pinned boolean DEFAULT false NOT NULL,
    withdrawn boolean DEFAULT false NOT NULL,
    superseded boolean DEFAULT false NOT NULL,
    damaged_at timestamp with time zone,
    bytes_removed_at timestamp with time zone,
    CONSTRAINT ck_model_versions_parent_earlier CHECK ((parent_id < id)),
    CONSTRAINT ck_model_versions_parent_whole CHECK (((parent_id IS NULL) = (parent_version IS NULL))),
    CONSTRAINT ck_model_versions_production CHECK (((NOT is_production) OR ((status)::text = 'active'::text))),
    CONSTRAINT ck_model_versions_status CHECK (((status)::text = ANY (ARRAY[('candidate'::character varying)::text, ('active'::character varying)::text, ('archived'::character varying)::text, ('failed'::character varying)::text]))),
    CONSTRAINT ck_model_versions_version CHECK (((version)::text = ((((major || '.'::text) || minor) || '.'::text) || patch)))
);

CREATE SEQUENCE public.model_versions_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;

ALTER SEQUENCE public.model_versions_id_seq OWNED BY public.model_versions.id;

CREATE TABLE public.promotions (
    id bigint NOT NULL,
    model_id bigint NOT NULL,
    sequence integer NOT NULL,
    action character varying(16) NOT NULL,
    from_version_id bigint,
    to_version_id bigint,
    reverted boolean NOT NULL,
    actor text NOT NULL,
    reason text NOT NULL,
    created_at timestamp with time zone NOT NULL
);

CREATE SEQUENCE public.promotions_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;

ALTER SEQUENCE public.promotions_id_seq OWNED BY public.promotions.id;

CREATE TABLE public.registered_models (
    id bigint NOT NULL,
    name character varying(128) NOT NULL,
    created_at timestamp with time zone NOT NULL
);

CREATE SEQUENCE public.registered_models_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;

ALTER SEQUENCE public.registered_models_id_seq OWNED BY public.registered_models.id;

CREATE TABLE public.rounds (
    id bigint NOT NULL,
    run_id bigint NOT NULL,
    server_round integer NOT NULL,
    status character varying(16) NOT NULL,
    metrics json NOT NULL,
    errors json NOT NULL,
    measured_version_id bigint,
    duration_seconds double precision,
    created_at timestamp with time zone NOT NULL,
    CONSTRAINT ck_rounds_status CHECK (((status)::text = ANY (ARRAY[('registered'::character varying)::text, ('rejected'::character varying)::text, ('no_result'::character varying)::text])))
);

CREATE SEQUENCE public.rounds_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;

ALTER SEQUENCE public.rounds_id_seq OWNED BY public.rounds.id;

CREATE TABLE public.run_leases (
    id bigint NOT NULL,
    run_name character varying(128) NOT NULL,
    start_number integer NOT NULL,
    token text NOT NULL,
    holder json NOT NULL,
    since timestamp with time zone NOT NULL,
    lease_seconds double precision NOT NULL,
    renewals integer NOT NULL,
    released boolean NOT NULL
);

CREATE SEQUENCE public.run_leases_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;

ALTER SEQUENCE public.run_leases_id_seq OWNED BY public.run_leases.id;

CREATE TABLE public.runs (
    id bigint NOT NULL,
    name character varying(128) NOT NULL,
    model_id bigint NOT NULL,
    flwr_run_id text NOT NULL,
    app_id text NOT NULL,
    app_version text NOT NULL,
    app_hash text NOT NULL,
    federation text NOT NULL,
    strategy text NOT NULL,
    strategy_config json NOT NULL,
    run_config json NOT NULL,
    versions json NOT NULL,
    started_at timestamp with time zone NOT NULL,
    start_number integer
);

CREATE SEQUENCE public.runs_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;

ALTER SEQUENCE public.runs_id_seq OWNED BY public.runs.id;

CREATE TABLE public.uploads (
    id bigint NOT NULL,
    model_id bigint NOT NULL,
    major integer NOT NULL,
    minor integer NOT NULL,
    patch integer NOT NULL,
    fingerprint character varying(64) NOT NULL,
    failed boolean NOT NULL,
    storage_prefix text NOT NULL,
    created_at timestamp with time zone NOT NULL
);

CREATE SEQUENCE public.uploads_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;

ALTER SEQUENCE public.uploads_id_seq OWNED BY public.uploads.id;

CREATE TABLE public.version_metrics (
    id bigint NOT NULL,
    version_id bigint NOT NULL,
    model_id bigint NOT NULL,
    source character varying(32) NOT NULL,
    name text NOT NULL,
    value double precision NOT NULL,
    best_source boolean NOT NULL
);

CREATE SEQUENCE public.version_metrics_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;

ALTER SEQUENCE public.version_metrics_id_seq OWNED BY public.version_metrics.id;

CREATE TABLE public.withdrawals (
    id bigint NOT NULL,
    node_id text NOT NULL,
    actor text NOT NULL,
    reason text NOT NULL,
    created_at timestamp with time zone NOT NULL
);

CREATE SEQUENCE public.withdrawals_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;

ALTER SEQUENCE public.withdrawals_id_seq OWNED BY public.withdrawals.id;

ALTER TABLE ONLY public.contributions ALTER COLUMN id SET DEFAULT nextval('public.contributions_id_seq'::regclass);

ALTER TABLE ONLY public.drift_baselines ALTER COLUMN id SET DEFAULT nextval('public.drift_baselines_id_seq'::regclass);

ALTER TABLE ONLY public.drift_findings ALTER COLUMN id SET DEFAULT nextval('public.drift_findings_id_seq'::regclass);

ALTER TABLE ONLY public.model_aliases ALTER COLUMN id SET DEFAULT nextval('public.model_aliases_id_seq'::regclass);

ALTER TABLE ONLY public.model_audit_logs ALTER COLUMN id SET DEFAULT nextval('public.model_audit_logs_id_seq'::regclass);

ALTER TABLE ONLY public.model_versions ALTER COLUMN id SET DEFAULT nextval('public.model_versions_id_seq'::regclass);

ALTER TABLE ONLY public.promotions ALTER COLUMN id SET DEFAULT nextval('public.promotions_id_seq'::regclass);

ALTER TABLE ONLY public.registered_models ALTER COLUMN id SET DEFAULT nextval('public.registered_models_id_seq'::regclass);

ALTER TABLE ONLY public.rounds ALTER COLUMN id SET DEFAULT nextval('public.rounds_id_seq'::regclass);

ALTER TABLE ONLY public.run_leases ALTER COLUMN id SET DEFAULT nextval('public.run_leases_id_seq'::regclass);

ALTER TABLE ONLY public.runs ALTER COLUMN id SET DEFAULT nextval('public.runs_id_seq'::regclass);

ALTER TABLE ONLY public.uploads ALTER COLUMN id SET DEFAULT nextval('public.uploads_id_seq'::regclass);

ALTER TABLE ONLY public.version_metrics ALTER COLUMN id SET DEFAULT nextval('public.version_metrics_id_seq'::regclass);

ALTER TABLE ONLY public.withdrawals ALTER COLUMN id SET DEFAULT nextval('public.withdrawals_id_seq'::regclass);

INSERT INTO public.alembic_version VALUES ('0004');

INSERT INTO public.contributions VALUES (1, 1, '11400714819323198485', 'ok', 60, 0.6, '{"loss":2.1}', NULL, '');
INSERT INTO public.contributions VALUES (2, 1, '7', 'ok', 40, 0.4, '{}', NULL, '');
INSERT INTO public.contributions VALUES (3, 1, '9', 'no_reply', NULL, NULL, '{}', NULL, '');
INSERT INTO public.contributions VALUES (4, 2, '11400714819323198485', 'ok', 60, 0.6, '{"loss":1.05}', NULL, '');
INSERT INTO public.contributions VALUES (5, 2, '7', 'ok', 40, 0.4, '{}', NULL, '');
INSERT INTO public.contributions VALUES (6, 2, '9', 'no_reply', NULL, NULL, '{}', NULL, '');
INSERT INTO public.contributions VALUES (7, 3, '11400714819323198485', 'ok', 60, 0.6, '{"loss":0.7000000000000001}', NULL, '');
INSERT INTO public.contributions VALUES (8, 3, '7', 'ok', 40, 0.4, '{}', NULL, '');
INSERT INTO public.contributions VALUES (9, 3, '9', 'no_reply', NULL, NULL, '{}', NULL, '');
INSERT INTO public.contributions VALUES (10, 4, '11400714819323198485', 'ok', 60, 0.6, '{"loss":0.525}', NULL, '');
INSERT INTO public.contributions VALUES (11, 4, '7', 'ok', 40, 0.4, '{}', NULL, '');
INSERT INTO public.contributions VALUES (12, 4, '9', 'no_reply', NULL, NULL, '{}', NULL, '');

INSERT INTO public.model_audit_logs VALUES (1, '2026-11-23 08:22:51.100621+00', 'start_run', 'flwr-registry', 'digits', NULL, '', '{"run":1,"name":"trial","flwr_run_id":"15938422011743906132"}', '0000000000000000000000000000000000000000000000000000000000000000', '73ed997355381826bbe8b6d396d2ebeff7f0011b8eb0f72776a9a918dab3bedd');
INSERT INTO public.model_audit_logs VALUES (2, '2026-11-23 08:22:51.19804+00', 'register', 'flwr-registry', 'digits', '1.0.0', '', '{"status":"candidate","checksum":"5020cef0062f5010f2c9966ffe159b3cbef11204b34ba2aa2e932180c10f5b64","file_size_bytes":208,"fingerprint":"0618331f80eba5240f8879d73b38ed534b9e375aeb2700cec686ac0a9da09d72","parent":null,"run":1}', '73ed997355381826bbe8b6d396d2ebeff7f0011b8eb0f72776a9a918dab3bedd', 'b3eb4aad5839eb1b917e2247859acc259d88a6ced258289248fc09c634aa6d88');
INSERT INTO public.model_audit_logs VALUES (3, '2026-11-23 08:22:51.316319+00', 'register', 'flwr-registry', 'digits', '1.1.0', '', '{"status":"candidate","checksum":"12c5f84b4e2650d2cac980cf4dd8667f3ec0886a71c75584155afa23eaa08de7","file_size_bytes":208,"fingerprint":"0618331f80eba5240f8879d73b38ed534b9e375aeb2700cec686ac0a9da09d72","parent":"1.0.0","run":1}', 'b3eb4aad5839eb1b917e2247859acc259d88a6ced258289248fc09c634aa6d88', '26d5fae292883611866084112adbef3062db6b6f7ae6fc7a949d1c6ae6d7dffd');
INSERT INTO public.model_audit_logs VALUES (4, '2026-11-23 08:22:51.372292+00', 'register', 'flwr-registry', 'digits', '1.2.0', '', '{"status":"failed","checksum":"517328963b16ca226f7869e1adc20b28dc8ba7b3b0fff3d18aab9ffa4b958b00","file_size_bytes":208,"fingerprint":"0618331f80eba5240f8879d73b38ed534b9e375aeb2700cec686ac0a9da09d72","parent":"1.1.0","run":1}', '26d5fae292883611866084112adbef3062db6b6f7ae6fc7a949d1c6ae6d7dffd', '512a41036a4743cd3c812adb4874d83cb2521050fed6f3c9f3dcbe4dae716b9d');
INSERT INTO public.model_audit_logs VALUES (5, '2026-11-23 08:22:51.415722+00', 'register', 'flwr-registry', 'digits', '1.3.0', '', '{"status":"candidate","checksum":"cbf1359029d13b47bff3ec898032c6e18fc62c6603fe43d6e9e200b0cfb4abc5","file_size_bytes":208,"fingerprint":"0618331f80eba5240f8879d73b38ed534b9e375aeb2700cec686ac0a9da09d72","parent":"1.1.0","run":1}', '512a41036a4743cd3c812adb4874d83cb2521050fed6f3c9f3dcbe4dae716b9d', '489028df477a955d934c24e916530a07c42a270c7fb35a7f0d3e889b0bf47e69');
INSERT INTO public.model_audit_logs VALUES (6, '2026-11-23 08:22:51.454102+00', 'register', 'flwr-registry', 'other', '2.0.0', '', '{"status":"candidate","checksum":"77b7d4cabba22f26f4763e3d1d68e081de3db0da004441d8ba5efae7b01a625a","file_size_bytes":208,"fingerprint":"66b6b1a6fc9a36be33f619875bc95df3709d6c23c34cddfa09a21a2ca6229349","parent":null,"run":null}', '489028df477a955d934c24e916530a07c42a270c7fb35a7f0d3e889b0bf47e69', '988c3ab8acf0271b9184a5edb87c6886ecb3e906a6a6ee7960f2b5040e454a7c');

INSERT INTO public.model_versions VALUES (1, 1, '1.0.0', 1, 0, 0, 1, 1, 'models/digits/1.0.0/5020cef0062f.safetensors', '5020cef0062f5010f2c9966ffe159b3cbef11204b34ba2aa2e932180c10f5b64', 208, '0618331f80eba5240f8879d73b38ed534b9e375aeb2700cec686ac0a9da09d72', '{"train_clientapp":{"loss":2.0},"evaluate_serverapp":{"accuracy":0.5,"loss":"inf"}}', NULL, 0.5, '', '', '{}', '{"site":"north"}', NULL, NULL, 2, 1, NULL, NULL, '[]', 'candidate', false, '2026-11-23 08:22:51.193673+00', NULL, NULL, '', 'flwr-registry', false, false, false, NULL, NULL);
INSERT INTO public.model_versions VALUES (2, 1, '1.1.0', 1, 1, 0, 1, 2, 'models/digits/1.1.0/12c5f84b4e26.safetensors', '12c5f84b4e2650d2cac980cf4dd8667f3ec0886a71c75584155afa23eaa08de7', 208, '0618331f80eba5240f8879d73b38ed534b9e375aeb2700cec686ac0a9da09d72', '{"train_clientapp":{"loss":1.0},"evaluate_serverapp":{"accuracy":0.75,"loss":0.5}}', 0.5, 0.75, '', '', '{}', '{"site":"north"}', 1, '1.0.0', 2, 2, NULL, NULL, '[]', 'candidate', false, '2026-11-23 08:22:51.312664+00', NULL, NULL, '', 'flwr-registry', false, false, false, NULL, NULL);
INSERT INTO public.model_versions VALUES (3, 1, '1.2.0', 1, 2, 0, 1, 3, 'models/digits/1.2.0/517328963b16.safetensors', '517328963b16ca226f7869e1adc20b28dc8ba7b3b0fff3d18aab9ffa4b958b00', 208, '0618331f80eba5240f8879d73b38ed534b9e375aeb2700cec686ac0a9da09d72', '{"train_clientapp":{"loss":0.6666666666666666}}', 0.6666666666666666, NULL, '', '', '{}', '{}', 2, '1.1.0', 2, 3, NULL, NULL, '["w: 4 of 4 values are NaN"]', 'failed', false, '2026-11-23 08:22:51.370013+00', NULL, NULL, '', 'flwr-registry', false, false, false, NULL, NULL);
INSERT INTO public.model_versions VALUES (4, 1, '1.3.0', 1, 3, 0, 1, 4, 'models/digits/1.3.0/cbf1359029d1.safetensors', 'cbf1359029d13b47bff3ec898032c6e18fc62c6603fe43d6e9e200b0cfb4abc5', 208, '0618331f80eba5240f8879d73b38ed534b9e375aeb2700cec686ac0a9da09d72', '{"train_clientapp":{"loss":0.5},"evaluate_serverapp":{"accuracy":0.875,"loss":0.25}}', 0.25, 0.875, '', '', '{}', '{"site":"north"}', 2, '1.1.0', 2, 4, NULL, NULL, '[]', 'candidate', false, '2026-11-23 08:22:51.412214+00', NULL, NULL, '', 'flwr-registry', false, false, false, NULL, NULL);
INSERT INTO public.model_versions VALUES (5, 2, '2.0.0', 2, 0, 0, NULL, NULL, 'models/other/2.0.0/77b7d4cabba2.safetensors', '77b7d4cabba22f26f4763e3d1d68e081de3db0da004441d8ba5efae7b01a625a', 208, '66b6b1a6fc9a36be33f619875bc95df3709d6c23c34cddfa09a21a2ca6229349', '{}', NULL, NULL, 'line', '', '{}', '{}', NULL, NULL, 0, 0, NULL, NULL, '[]', 'candidate', false, '2026-11-23 08:22:51.451787+00', NULL, NULL, 'by hand', 'flwr-registry', false, false, false, NULL, NULL);

INSERT INTO public.registered_models VALUES (1, 'digits', '2026-11-23 08:22:51.090713+00');
INSERT INTO public.registered_models VALUES (2, 'other', '2026-11-23 08:22:51.434704+00');

INSERT INTO public.rounds VALUES (1, 1, 1, 'registered', '{"train_clientapp":{"loss":2.0},"evaluate_serverapp":{"accuracy":0.5,"loss":"inf"}}', '[]', 1, 1.5, '2026-11-23 08:22:51.176097+00');
INSERT INTO public.rounds VALUES (2, 1, 2, 'registered', '{"train_clientapp":{"loss":1.0},"evaluate_serverapp":{"accuracy":0.75,"loss":0.5}}', '[]', 2, 1.5, '2026-11-23 08:22:51.305272+00');
INSERT INTO public.rounds VALUES (3, 1, 3, 'rejected', '{"train_clientapp":{"loss":0.6666666666666666}}', '["w: 4 of 4 values are NaN"]', NULL, 1.5, '2026-11-23 08:22:51.362495+00');
INSERT INTO public.rounds VALUES (4, 1, 4, 'registered', '{"train_clientapp":{"loss":0.5},"evaluate_serverapp":{"accuracy":0.875,"loss":0.25}}', '[]', 4, 1.5, '2026-11-23 08:22:51.405797+00');

INSERT INTO public.runs VALUES (1, 'trial', 1, '15938422011743906132', 'flwrlabs/quickstart', '1.0.0', '', '', 'flwr.serverapp.strategy.fedavg.FedAvg', '{}', '{"num-server-rounds":4}', '{"flwr":"1.41.0"}', '2026-11-23 08:22:51.097637+00', NULL);

INSERT INTO public.version_metrics VALUES (1, 1, 1, 'evaluate_serverapp', 'accuracy', 0.5, true);
INSERT INTO public.version_metrics VALUES (2, 1, 1, 'train_clientapp', 'loss', 2, false);
INSERT INTO public.version_metrics VALUES (3, 2, 1, 'evaluate_serverapp', 'accuracy', 0.75, true);
INSERT INTO public.version_metrics VALUES (4, 2, 1, 'evaluate_serverapp', 'loss', 0.5, true);
INSERT INTO public.version_metrics VALUES (5, 2, 1, 'train_clientapp', 'loss', 1, false);
INSERT INTO public.version_metrics VALUES (6, 3, 1, 'train_clientapp', 'loss', 0.6666666666666666, true);
INSERT INTO public.version_metrics VALUES (7, 4, 1, 'evaluate_serverapp', 'accuracy', 0.875, true);
INSERT INTO public.version_metrics VALUES (8, 4, 1, 'evaluate_serverapp', 'loss', 0.25, true);
INSERT INTO public.version_metrics VALUES (9, 4, 1, 'train_clientapp', 'loss', 0.5, false);

SELECT pg_catalog.setval('public.contributions_id_seq', 12, true);

SELECT pg_catalog.setval('public.drift_baselines_id_seq', 1, false);

SELECT pg_catalog.setval('public.drift_findings_id_seq', 1, false);

SELECT pg_catalog.setval('public.model_aliases_id_seq', 1, false);

SELECT pg_catalog.setval('public.model_audit_logs_id_seq', 6, true);

SELECT pg_catalog.setval('public.model_versions_id_seq', 5, true);

SELECT pg_catalog.setval('public.promotions_id_seq', 1, false);

SELECT pg_catalog.setval('public.registered_models_id_seq', 2, true);

SELECT pg_catalog.setval('public.rounds_id_seq', 4, true);

SELECT pg_catalog.setval('public.run_leases_id_seq', 1, false);

SELECT pg_catalog.setval('public.runs_id_seq', 1, true);

SELECT pg_catalog.setval('public.uploads_id_seq', 5, true);

SELECT pg_catalog.setval('public.version_metrics_id_seq', 9, true);

SELECT pg_catalog.setval('public.withdrawals_id_seq', 1, false);

ALTER TABLE ONLY public.alembic_version
    ADD CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num);

ALTER TABLE ONLY public.contributions
    ADD CONSTRAINT pk_contributions PRIMARY KEY (id);

ALTER TABLE ONLY public.drift_baselines
    ADD CONSTRAINT pk_drift_baselines PRIMARY KEY (id);

ALTER TABLE ONLY public.drift_findings
    ADD CONSTRAINT pk_drift_findings PRIMARY KEY (id);

ALTER TABLE ONLY public.model_aliases
    ADD CONSTRAINT pk_model_aliases PRIMARY KEY (id);

ALTER TABLE ONLY public.model_audit_logs
    ADD CONSTRAINT pk_model_audit_logs PRIMARY KEY (id);

ALTER TABLE ONLY public.model_versions
    ADD CONSTRAINT pk_model_versions PRIMARY KEY (id);

ALTER TABLE ONLY public.promotions
    ADD CONSTRAINT pk_promotions PRIMARY KEY (id);

ALTER TABLE ONLY public.registered_models
    ADD CONSTRAINT pk_registered_models PRIMARY KEY (id);

ALTER TABLE ONLY public.rounds
    ADD CONSTRAINT pk_rounds PRIMARY KEY (id);

ALTER TABLE ONLY public.run_leases
    ADD CONSTRAINT pk_run_leases PRIMARY KEY (id);

ALTER TABLE ONLY public.runs
    ADD CONSTRAINT pk_runs PRIMARY KEY (id);

ALTER TABLE ONLY public.uploads
    ADD CONSTRAINT pk_uploads PRIMARY KEY (id);

ALTER TABLE ONLY public.version_metrics
    ADD CONSTRAINT pk_version_metrics PRIMARY KEY (id);

ALTER TABLE ONLY public.withdrawals
    ADD CONSTRAINT pk_withdrawals PRIMARY KEY (id);

ALTER TABLE ONLY public.contributions
    ADD CONSTRAINT uq_contributions_round_node UNIQUE (round_id, node_id);

ALTER TABLE ONLY public.drift_baselines
    ADD CONSTRAINT uq_drift_baselines_version UNIQUE (version_id);

ALTER TABLE ONLY public.model_aliases
    ADD CONSTRAINT uq_model_aliases_alias UNIQUE (model_id, alias);

ALTER TABLE ONLY public.model_audit_logs
    ADD CONSTRAINT uq_model_audit_logs_entry_hash UNIQUE (entry_hash);

ALTER TABLE ONLY public.model_audit_logs
    ADD CONSTRAINT uq_model_audit_logs_previous_hash UNIQUE (previous_hash);

ALTER TABLE ONLY public.model_versions
    ADD CONSTRAINT uq_model_versions_id_model_version UNIQUE (id, model_id, version);

ALTER TABLE ONLY public.model_versions
    ADD CONSTRAINT uq_model_versions_round UNIQUE (round_id);

ALTER TABLE ONLY public.model_versions
    ADD CONSTRAINT uq_model_versions_version UNIQUE (model_id, version);

ALTER TABLE ONLY public.promotions
    ADD CONSTRAINT uq_promotions_sequence UNIQUE (model_id, sequence);

ALTER TABLE ONLY public.registered_models
    ADD CONSTRAINT uq_registered_models_name UNIQUE (name);

ALTER TABLE ONLY public.rounds
    ADD CONSTRAINT uq_rounds_run_server_round UNIQUE (run_id, server_round);

ALTER TABLE ONLY public.run_leases
    ADD CONSTRAINT uq_run_leases_start UNIQUE (run_name, start_number);

ALTER TABLE ONLY public.version_metrics
    ADD CONSTRAINT uq_version_metrics_source_name UNIQUE (version_id, source, name);

ALTER TABLE ONLY public.withdrawals
    ADD CONSTRAINT uq_withdrawals_node_id UNIQUE (node_id);

CREATE INDEX ix_contributions_node ON public.contributions USING btree (node_id);

CREATE INDEX ix_drift_findings_model ON public.drift_findings USING btree (model_id, id);

CREATE INDEX ix_model_aliases_version ON public.model_aliases USING btree (version_id);

CREATE INDEX ix_model_versions_fingerprint ON public.model_versions USING btree (model_id, fingerprint, major) WHERE ((status)::text <> 'failed'::text);

CREATE INDEX ix_model_versions_newest ON public.model_versions USING btree (model_id, id);

CREATE INDEX ix_model_versions_numbers ON public.model_versions USING btree (model_id, major, minor, patch);

CREATE INDEX ix_model_versions_parent ON public.model_versions USING btree (parent_id);

CREATE INDEX ix_model_versions_run ON public.model_versions USING btree (run_id, id);

CREATE INDEX ix_model_versions_sound ON public.model_versions USING btree (model_id, id) WHERE ((status)::text <> 'failed'::text);

CREATE INDEX ix_model_versions_sound_major ON public.model_versions USING btree (model_id, major) WHERE ((status)::text <> 'failed'::text);

CREATE INDEX ix_model_versions_sound_of_run ON public.model_versions USING btree (run_id, id) WHERE ((status)::text <> 'failed'::text);

CREATE INDEX ix_model_versions_status ON public.model_versions USING btree (model_id, status, id);

CREATE INDEX ix_model_versions_stored ON public.model_versions USING btree (model_id, id) WHERE (bytes_removed_at IS NULL);

CREATE INDEX ix_runs_model ON public.runs USING btree (model_id, id);

CREATE INDEX ix_runs_name ON public.runs USING btree (name);

CREATE INDEX ix_uploads_numbers ON public.uploads USING btree (model_id, major, minor, patch);

CREATE INDEX ix_version_metrics_value ON public.version_metrics USING btree (model_id, name, value);

CREATE UNIQUE INDEX uq_model_versions_production ON public.model_versions USING btree (model_id) WHERE is_production;

CREATE TRIGGER model_audit_logs_no_change BEFORE DELETE OR UPDATE ON public.model_audit_logs FOR EACH ROW EXECUTE FUNCTION public.model_audit_logs_append_only();

CREATE TRIGGER model_audit_logs_no_truncate BEFORE TRUNCATE ON public.model_audit_logs FOR EACH STATEMENT EXECUTE FUNCTION public.model_audit_logs_append_only();

ALTER TABLE ONLY public.contributions
    ADD CONSTRAINT fk_contributions_round FOREIGN KEY (round_id) REFERENCES public.rounds(id);

ALTER TABLE ONLY public.drift_baselines
    ADD CONSTRAINT fk_drift_baselines_version FOREIGN KEY (version_id) REFERENCES public.model_versions(id);

ALTER TABLE ONLY public.drift_findings
    ADD CONSTRAINT fk_drift_findings_model FOREIGN KEY (model_id) REFERENCES public.registered_models(id);

ALTER TABLE ONLY public.drift_findings
    ADD CONSTRAINT fk_drift_findings_run FOREIGN KEY (run_id) REFERENCES public.runs(id);

ALTER TABLE ONLY public.drift_findings
    ADD CONSTRAINT fk_drift_findings_version FOREIGN KEY (version_id) REFERENCES public.model_versions(id);

ALTER TABLE ONLY public.model_aliases
    ADD CONSTRAINT fk_model_aliases_model FOREIGN KEY (model_id) REFERENCES public.registered_models(id);

ALTER TABLE ONLY public.model_aliases
    ADD CONSTRAINT fk_model_aliases_version FOREIGN KEY (version_id) REFERENCES public.model_versions(id);

ALTER TABLE ONLY public.model_versions
    ADD CONSTRAINT fk_model_versions_model FOREIGN KEY (model_id) REFERENCES public.registered_models(id);

ALTER TABLE ONLY public.model_versions
    ADD CONSTRAINT fk_model_versions_parent FOREIGN KEY (parent_id, model_id, parent_version) REFERENCES public.model_versions(id, model_id, version);

ALTER TABLE ONLY public.model_versions
    ADD CONSTRAINT fk_model_versions_round FOREIGN KEY (round_id) REFERENCES public.rounds(id);

ALTER TABLE ONLY public.model_versions
    ADD CONSTRAINT fk_model_versions_run FOREIGN KEY (run_id) REFERENCES public.runs(id);

ALTER TABLE ONLY public.promotions
    ADD CONSTRAINT fk_promotions_from FOREIGN KEY (from_version_id) REFERENCES public.model_versions(id);

ALTER TABLE ONLY public.promotions
    ADD CONSTRAINT fk_promotions_model FOREIGN KEY (model_id) REFERENCES public.registered_models(id);

ALTER TABLE ONLY public.promotions
    ADD CONSTRAINT fk_promotions_to FOREIGN KEY (to_version_id) REFERENCES public.model_versions(id);

ALTER TABLE ONLY public.rounds
    ADD CONSTRAINT fk_rounds_measured_version FOREIGN KEY (measured_version_id) REFERENCES public.model_versions(id);

ALTER TABLE ONLY public.rounds
    ADD CONSTRAINT fk_rounds_run FOREIGN KEY (run_id) REFERENCES public.runs(id);

ALTER TABLE ONLY public.runs
    ADD CONSTRAINT fk_runs_model FOREIGN KEY (model_id) REFERENCES public.registered_models(id);

ALTER TABLE ONLY public.uploads
    ADD CONSTRAINT fk_uploads_model FOREIGN KEY (model_id) REFERENCES public.registered_models(id);

ALTER TABLE ONLY public.version_metrics
    ADD CONSTRAINT fk_version_metrics_version FOREIGN KEY (version_id) REFERENCES public.model_versions(id);
