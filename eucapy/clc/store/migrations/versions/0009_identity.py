"""Groups, roles, policies and the rest of what identities are made of.

Who might do all (`rights`) has AdministratorAccess attached from now on, and every account has its root user's row.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "iam_groups",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("account", sa.String(length=12), nullable=False),
        sa.Column("name", sa.String(length=128), nullable=False),
        sa.Column("folded", sa.String(length=128), server_default="", nullable=False),
        sa.Column("path", sa.String(length=512), server_default="/", nullable=False),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_iam_groups")),
    )
    with op.batch_alter_table("iam_groups", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_iam_groups_account"), ["account"])
        batch_op.create_index(batch_op.f("ix_iam_groups_account_folded"), ["account", "folded"], unique=True)
    op.create_table(
        "iam_jobs",
        sa.Column("id", sa.String(length=1000), nullable=False),
        sa.Column("account", sa.String(length=12), nullable=False),
        sa.Column("facts", sa.Text(), nullable=False),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_iam_jobs")),
    )
    with op.batch_alter_table("iam_jobs", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_iam_jobs_account"), ["account"])
    op.create_table(
        "iam_tags",
        sa.Column("owner_id", sa.String(length=512), nullable=False),
        sa.Column("folded", sa.String(length=128), nullable=False),
        sa.Column("key", sa.String(length=128), nullable=False),
        sa.Column("value", sa.String(length=256), nullable=False),
        sa.PrimaryKeyConstraint("owner_id", "folded", name=op.f("pk_iam_tags")),
    )
    op.create_table(
        "inline_policies",
        sa.Column("principal_id", sa.String(length=32), nullable=False),
        sa.Column("name", sa.String(length=128), nullable=False),
        sa.Column("document", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("principal_id", "name", name=op.f("pk_inline_policies")),
    )
    op.create_table(
        "oidc_providers",
        sa.Column("arn", sa.String(length=512), nullable=False),
        sa.Column("account", sa.String(length=12), nullable=False),
        sa.Column("url", sa.String(length=255), nullable=False),
        sa.Column("client_ids", sa.Text(), nullable=False),
        sa.Column("thumbprints", sa.Text(), nullable=False),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("arn", name=op.f("pk_oidc_providers")),
    )
    with op.batch_alter_table("oidc_providers", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_oidc_providers_account"), ["account"])
    op.create_table(
        "policies",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("account", sa.String(length=12), nullable=False),
        sa.Column("name", sa.String(length=128), nullable=False),
        sa.Column("folded", sa.String(length=128), server_default="", nullable=False),
        sa.Column("path", sa.String(length=512), server_default="/", nullable=False),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.Column("description", sa.String(length=1000), nullable=True),
        sa.Column("default_version", sa.Integer(), nullable=False),
        sa.Column("newest_version", sa.Integer(), nullable=False),
        sa.Column("updated_at", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_policies")),
    )
    with op.batch_alter_table("policies", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_policies_account"), ["account"])
        batch_op.create_index(batch_op.f("ix_policies_account_folded"), ["account", "folded"], unique=True)
    op.create_table(
        "policy_attachments",
        sa.Column("principal_id", sa.String(length=32), nullable=False),
        sa.Column("policy_arn", sa.String(length=2048), nullable=False),
        sa.Column("account", sa.String(length=12), nullable=False),
        sa.PrimaryKeyConstraint("principal_id", "policy_arn", name=op.f("pk_policy_attachments")),
    )
    with op.batch_alter_table("policy_attachments", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_policy_attachments_account"), ["account"])
        batch_op.create_index(batch_op.f("ix_policy_attachments_account_policy_arn"), ["account", "policy_arn"])
    op.create_table(
        "roles",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("account", sa.String(length=12), nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("folded", sa.String(length=64), server_default="", nullable=False),
        sa.Column("path", sa.String(length=512), server_default="/", nullable=False),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.Column("trust", sa.Text(), nullable=False),
        sa.Column("description", sa.String(length=1000), nullable=True),
        sa.Column("max_session_s", sa.Integer(), nullable=False),
        sa.Column("boundary", sa.String(length=2048), nullable=True),
        sa.Column("linked_service", sa.String(length=128), server_default="", nullable=False),
        sa.Column("last_used_at", sa.Float(), nullable=True),
        sa.Column("last_used_region", sa.String(length=32), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_roles")),
    )
    with op.batch_alter_table("roles", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_roles_account"), ["account"])
        batch_op.create_index(batch_op.f("ix_roles_account_folded"), ["account", "folded"], unique=True)
    op.create_table(
        "saml_providers",
        sa.Column("arn", sa.String(length=512), nullable=False),
        sa.Column("account", sa.String(length=12), nullable=False),
        sa.Column("unique_id", sa.String(length=64), nullable=False),
        sa.Column("document", sa.Text(), nullable=False),
        sa.Column("encryption", sa.String(length=16), nullable=True),
        sa.Column("private_keys", sa.Text(), nullable=False),
        sa.Column("valid_until", sa.Float(), nullable=False),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("arn", name=op.f("pk_saml_providers")),
    )
    with op.batch_alter_table("saml_providers", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_saml_providers_account"), ["account"])
    op.create_table(
        "server_certificates",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("account", sa.String(length=12), nullable=False),
        sa.Column("name", sa.String(length=128), nullable=False),
        sa.Column("folded", sa.String(length=128), server_default="", nullable=False),
        sa.Column("path", sa.String(length=512), server_default="/", nullable=False),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("chain", sa.Text(), nullable=True),
        sa.Column("sealed_key", sa.LargeBinary(), nullable=False),
        sa.Column("expires_at", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_server_certificates")),
    )
    with op.batch_alter_table("server_certificates", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_server_certificates_account"), ["account"])
        batch_op.create_index(batch_op.f("ix_server_certificates_account_folded"), ["account", "folded"], unique=True)
    op.create_table(
        "credential_reports",
        sa.Column("account", sa.String(length=12), nullable=False),
        sa.Column("content", sa.Text(), nullable=False),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.ForeignKeyConstraint(["account"], ["accounts.id"], name=op.f("fk_credential_reports_account")),
        sa.PrimaryKeyConstraint("account", name=op.f("pk_credential_reports")),
    )
    op.create_table(
        "former_passwords",
        sa.Column("user_id", sa.String(length=32), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("hashed", sa.String(length=256), nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_former_passwords_user_id")),
        sa.PrimaryKeyConstraint("user_id", "number", name=op.f("pk_former_passwords")),
    )
    op.create_table(
        "iam_group_members",
        sa.Column("group_id", sa.String(length=32), nullable=False),
        sa.Column("user_id", sa.String(length=32), nullable=False),
        sa.ForeignKeyConstraint(["group_id"], ["iam_groups.id"], name=op.f("fk_iam_group_members_group_id")),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_iam_group_members_user_id")),
        sa.PrimaryKeyConstraint("group_id", "user_id", name=op.f("pk_iam_group_members")),
    )
    with op.batch_alter_table("iam_group_members", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_iam_group_members_user_id"), ["user_id"])
    op.create_table(
        "instance_profiles",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("account", sa.String(length=12), nullable=False),
        sa.Column("name", sa.String(length=128), nullable=False),
        sa.Column("folded", sa.String(length=128), server_default="", nullable=False),
        sa.Column("path", sa.String(length=512), server_default="/", nullable=False),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.Column("role_id", sa.String(length=32), nullable=True),
        sa.ForeignKeyConstraint(["role_id"], ["roles.id"], name=op.f("fk_instance_profiles_role_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_instance_profiles")),
    )
    with op.batch_alter_table("instance_profiles", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_instance_profiles_account"), ["account"])
        batch_op.create_index(batch_op.f("ix_instance_profiles_account_folded"), ["account", "folded"], unique=True)
        batch_op.create_index(batch_op.f("ix_instance_profiles_role_id"), ["role_id"])
    op.create_table(
        "login_profiles",
        sa.Column("user_id", sa.String(length=32), nullable=False),
        sa.Column("hashed", sa.String(length=256), nullable=False),
        sa.Column("must_change", sa.Boolean(), nullable=False),
        sa.Column("changed_at", sa.Float(), nullable=False),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_login_profiles_user_id")),
        sa.PrimaryKeyConstraint("user_id", name=op.f("pk_login_profiles")),
    )
    op.create_table(
        "mfa_devices",
        sa.Column("serial", sa.String(length=512), nullable=False),
        sa.Column("account", sa.String(length=12), nullable=False),
        sa.Column("sealed_seed", sa.LargeBinary(), nullable=False),
        sa.Column("user_id", sa.String(length=32), nullable=True),
        sa.Column("enabled_at", sa.Float(), nullable=True),
        sa.Column("last_step", sa.Integer(), server_default="0", nullable=False),
        sa.Column("offset_steps", sa.Integer(), server_default="0", nullable=False),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_mfa_devices_user_id")),
        sa.PrimaryKeyConstraint("serial", name=op.f("pk_mfa_devices")),
    )
    with op.batch_alter_table("mfa_devices", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_mfa_devices_account"), ["account"])
        batch_op.create_index(batch_op.f("ix_mfa_devices_user_id"), ["user_id"])
    op.create_table(
        "password_policies",
        sa.Column("account", sa.String(length=12), nullable=False),
        sa.Column("rules", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["account"], ["accounts.id"], name=op.f("fk_password_policies_account")),
        sa.PrimaryKeyConstraint("account", name=op.f("pk_password_policies")),
    )
    op.create_table(
        "policy_versions",
        sa.Column("policy_id", sa.String(length=32), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("document", sa.Text(), nullable=False),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.ForeignKeyConstraint(["policy_id"], ["policies.id"], name=op.f("fk_policy_versions_policy_id")),
        sa.PrimaryKeyConstraint("policy_id", "version", name=op.f("pk_policy_versions")),
    )
    op.create_table(
        "service_credentials",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("account", sa.String(length=12), nullable=False),
        sa.Column("user_id", sa.String(length=32), nullable=False),
        sa.Column("service", sa.String(length=128), nullable=False),
        sa.Column("service_user", sa.String(length=200), nullable=False),
        sa.Column("sealed_secret", sa.LargeBinary(), nullable=False),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.Column("expires_at", sa.Float(), nullable=True),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_service_credentials_user_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_service_credentials")),
        sa.UniqueConstraint("service_user", name=op.f("uq_service_credentials_service_user")),
    )
    with op.batch_alter_table("service_credentials", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_service_credentials_account"), ["account"])
        batch_op.create_index(batch_op.f("ix_service_credentials_user_id"), ["user_id"])
    op.create_table(
        "signing_certificates",
        sa.Column("id", sa.String(length=128), nullable=False),
        sa.Column("account", sa.String(length=12), nullable=False),
        sa.Column("user_id", sa.String(length=32), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_signing_certificates_user_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_signing_certificates")),
    )
    with op.batch_alter_table("signing_certificates", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_signing_certificates_account"), ["account"])
        batch_op.create_index(batch_op.f("ix_signing_certificates_user_id"), ["user_id"])
    op.create_table(
        "ssh_public_keys",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("account", sa.String(length=12), nullable=False),
        sa.Column("user_id", sa.String(length=32), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("fingerprint", sa.String(length=64), nullable=False),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_ssh_public_keys_user_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_ssh_public_keys")),
    )
    with op.batch_alter_table("ssh_public_keys", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_ssh_public_keys_account"), ["account"])
        batch_op.create_index(batch_op.f("ix_ssh_public_keys_user_id"), ["user_id"])
    with op.batch_alter_table("access_keys", schema=None) as batch_op:
        batch_op.add_column(sa.Column("last_used_at", sa.Float(), nullable=True))
        batch_op.add_column(sa.Column("last_used_service", sa.String(length=32), nullable=True))
        batch_op.add_column(sa.Column("last_used_region", sa.String(length=32), nullable=True))
    # SQLite must not make `users` anew: the access keys refer to it.
    op.add_column("users", sa.Column("folded", sa.String(length=64), server_default="", nullable=False))
    op.add_column("users", sa.Column("root", sa.Boolean(), server_default=sa.false(), nullable=False))
    op.add_column("users", sa.Column("boundary", sa.String(length=2048), nullable=True))
    op.add_column("users", sa.Column("password_used_at", sa.Float(), nullable=True))
    _fold_names()
    op.create_index(op.f("ix_users_account_folded"), "users", ["account", "folded"], unique=True)
    op.execute(
        "INSERT INTO policy_attachments (principal_id, policy_arn, account) "
        "SELECT id, 'arn:aws:iam::aws:policy/AdministratorAccess', account FROM users WHERE rights = 'all'"
    )
    op.execute("ALTER TABLE users DROP COLUMN rights")
    op.execute(
        "INSERT INTO users (id, account, name, folded, path, root, created_at) "
        "SELECT id, id, '', '', '/', true, created_at FROM accounts"
    )


def _fold_names() -> None:
    """Names that differ in their case alone were allowed before: the later ones are kept behind a sign that no name has, so
    that they are found and nobody can take them again."""
    bind = op.get_bind()
    users = sa.table("users", sa.column("id"), sa.column("account"), sa.column("name"), sa.column("folded"))
    taken: set[tuple[str, str]] = set()
    for row in bind.execute(sa.select(users.c.id, users.c.account, users.c.name).order_by(users.c.id)).all():
        folded = row.name.lower()
        if (row.account, folded) in taken:
            folded = row.name + "!"
        taken.add((row.account, folded))
        bind.execute(sa.update(users).where(users.c.id == row.id).values(folded=folded))
