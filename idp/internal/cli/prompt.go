package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/sentryagent/agentidp/shared/command"
)

// maxLine is the longest line that is read from a person or a pipe: more than a token takes.
const maxLine = 64 << 10

// ask shows a question and reads one line, which the terminal does not show
// when it is hidden. The end of ctx ends the wait.
func (p program) ask(ctx context.Context, question string, hidden bool) (string, error) {
	if hidden { // before the question: who types ahead is not shown either
		restore, err := silence(p.Stdin)
		if err != nil {
			return "", fmt.Errorf("hide what is typed: %w", err)
		}
		defer func() {
			restore()
			fmt.Fprintln(p.Stderr)
		}()
	}
	fmt.Fprint(p.Stderr, question)
	return readLine(ctx, p.Stdin)
}

// readLine reads as far as the end of the line, not a byte more.
func readLine(ctx context.Context, from io.Reader) (string, error) {
	type read struct {
		line string
		err  error
	}
	done := make(chan read, 1) // a terminal's read cannot be interrupted: it is left behind when ctx ends
	go func() {
		var line []byte
		for one := make([]byte, 1); len(line) < maxLine; {
			n, err := from.Read(one)
			if n > 0 && one[0] == '\n' || errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				done <- read{err: err}
				return
			}
			line = append(line, one[:n]...)
		}
		done <- read{line: strings.TrimSpace(string(line))}
	}()
	select {
	case r := <-done:
		return r.line, r.err
	case <-ctx.Done():
		return "", ctx.Err()
	}
}

// secretFrom reads a secret from a file, from the standard input when the file
// is "-", and when none is named from a hidden prompt or, without a terminal,
// from the standard input.
func (p program) secretFrom(ctx context.Context, file, question string) (secret string, err error) {
	switch {
	case file != "" && file != "-":
		var content []byte
		content, err = os.ReadFile(file)
		secret = strings.TrimSpace(string(content))
	case p.Stdin == nil:
		err = io.ErrUnexpectedEOF
	case file == "" && isTerminal(p.Stdin):
		secret, err = p.ask(ctx, question, true)
	default:
		secret, err = readLine(ctx, p.Stdin)
	}
	if err != nil {
		return "", fmt.Errorf("%s %w", strings.ToLower(strings.TrimSpace(question)), err)
	}
	if secret == "" {
		return "", fmt.Errorf("%w: %s nothing was given", command.ErrUsage, strings.ToLower(strings.TrimSpace(question)))
	}
	return secret, nil
}

// confirm says what will happen and wants it typed, unless yes. Without a
// terminal to ask at it refuses.
func (p program) confirm(ctx context.Context, yes bool, consequence, word string) error {
	fmt.Fprintln(p.Stderr, plain(consequence))
	if yes {
		return nil
	}
	if p.Stdin == nil || !isTerminal(p.Stdin) {
		return fmt.Errorf("%w: nobody is at a terminal to confirm that: say --yes", command.ErrUsage)
	}
	typed, err := p.ask(ctx, fmt.Sprintf("Type %s to go on: ", plain(word)), false)
	if err != nil {
		return err
	}
	if typed != word {
		return errors.New("not confirmed: nothing was done")
	}
	return nil
}
