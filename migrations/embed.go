// Package migrations holds the schema of every store backend as goose
// migrations, NNNN_name.sql, applied in order and never edited once released.
// They only go forward: a release that must be undone is undone by a new one.
package migrations

import "embed"

// SQLite holds the migrations of the SQLite backend under "sqlite".
//
//go:embed sqlite/*.sql
var SQLite embed.FS

// Postgres holds the migrations of the PostgreSQL backend under "postgres".
//
//go:embed postgres/*.sql
var Postgres embed.FS
