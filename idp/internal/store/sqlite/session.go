package sqlite

import (
	"context"
	"database/sql"
	"errors"
)

// session is one connection with its prepared statements. One transaction at a time uses it.
type session struct {
	conn       *sql.Conn
	statements map[string]*sql.Stmt // by text, prepared at first use; bounded by the constants of this package
}

func newSession(ctx context.Context, db *sql.DB, pragmas []pragma) (*session, error) {
	conn, err := db.Conn(ctx)
	if err != nil {
		return nil, err
	}
	if err := verify(ctx, conn, pragmas); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return &session{conn: conn, statements: make(map[string]*sql.Stmt)}, nil
}

func (s *session) prepared(ctx context.Context, query string) (*sql.Stmt, error) {
	if statement, found := s.statements[query]; found {
		return statement, nil
	}
	statement, err := s.conn.PrepareContext(ctx, query)
	if err != nil {
		return nil, err
	}
	s.statements[query] = statement
	return statement, nil
}

// run executes a statement without arguments, such as BEGIN. It is never interrupted.
func (s *session) run(ctx context.Context, query string) error {
	ctx = context.WithoutCancel(ctx)
	statement, err := s.prepared(ctx, query) //nolint:sqlclosecheck // the session closes it
	if err != nil {
		return err
	}
	_, err = statement.ExecContext(ctx)
	return err
}

func (s *session) close() error {
	var problems []error
	for _, statement := range s.statements {
		problems = append(problems, statement.Close())
	}
	return errors.Join(append(problems, s.conn.Close())...)
}
