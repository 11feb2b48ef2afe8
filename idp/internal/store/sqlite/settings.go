package sqlite

import "context"

type settings struct{ *transaction }

func scanText(r row) (text string, err error) {
	err = r.Scan(&text)
	return text, err
}

const settingGet = `SELECT value FROM settings WHERE name = ?1`

func (t settings) Get(ctx context.Context, name string) (string, error) {
	return get(ctx, t.transaction, settingGet, scanText, name)
}

const settingPut = `INSERT INTO settings (name, value) VALUES (?1, ?2) ON CONFLICT DO NOTHING`

func (t settings) PutIfAbsent(ctx context.Context, name, value string) (string, error) {
	if _, err := t.exec(ctx, settingPut, name, value); err != nil {
		return "", err
	}
	return t.Get(ctx, name)
}

const settingReplace = `INSERT INTO settings (name, value) VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET value = excluded.value`

func (t settings) Put(ctx context.Context, name, value string) error {
	_, err := t.exec(ctx, settingReplace, name, value)
	return err
}
