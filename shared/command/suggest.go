package command

import (
	"errors"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// flagMeant is what to add to the error of a flag that there is not: the flag
// of the command that was probably meant, if there is one.
func flagMeant(cmd *cobra.Command, err error) string {
	var unknown *pflag.NotExistError
	if !errors.As(err, &unknown) || unknown.GetSpecifiedShortnames() != "" {
		return ""
	}
	var names []string
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		if !f.Hidden {
			names = append(names, f.Name)
		}
	})
	return meant("--", nearest(unknown.GetSpecifiedName(), names))
}

// commandMeant is the same of a command.
func commandMeant(cmd *cobra.Command, typed string) string {
	var names []string
	for _, c := range cmd.Commands() {
		if c.IsAvailableCommand() {
			names = append(names, c.Name())
		}
	}
	return meant("", nearest(typed, names))
}

func meant(before, name string) string {
	if name == "" {
		return ""
	}
	return "; did you mean " + before + name + "?"
}

// nearest is the name that was probably meant: the one that differs in at most
// every third character, else the only one that begins so. "": none.
func nearest(typed string, names []string) string {
	best, least := "", max(1, len(typed)/3)+1
	var begun []string
	for _, name := range names {
		if d := distance(strings.ToLower(typed), name); d < least {
			best, least = name, d
		}
		if typed != "" && strings.HasPrefix(name, strings.ToLower(typed)) {
			begun = append(begun, name)
		}
	}
	if best == "" && len(begun) == 1 {
		return begun[0]
	}
	return best
}

// distance is how many characters have to be added, left out, replaced or
// swapped with their neighbour (optimal string alignment). Names are ASCII.
func distance(a, b string) int {
	before, last := make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row := make([]int, len(b)+1)
		row[0] = i
		for j := 1; j <= len(b); j++ {
			replaced := last[j-1]
			if a[i-1] != b[j-1] {
				replaced++
			}
			row[j] = min(replaced, last[j]+1, row[j-1]+1)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last = last, row
	}
	return last[len(b)]
}
