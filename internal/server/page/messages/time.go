package messages

import "time"

// units are the lengths of time that are said in words.
var units = []struct {
	length  time.Duration
	message string
}{
	{24 * time.Hour, "lasts.days"}, {time.Hour, "lasts.hours"}, {time.Minute, "lasts.minutes"}, {time.Second, "lasts.seconds"},
}

// Lasts says how long a permission lasts, to the second, in the largest unit that
// says it in a whole number.
func (w Words) Lasts(d time.Duration, renewed, byDevice bool) (string, error) {
	message := "lasts.once-app"
	switch {
	case renewed:
		message = "lasts.renewed"
	case byDevice:
		message = "lasts.once"
	}
	for _, unit := range units {
		if d%unit.length == 0 {
			length, err := w.N(unit.message, int(d/unit.length))
			if err != nil {
				return "", err
			}
			return w.A(message, "time", length)
		}
	}
	return w.A(message, "time", "0")
}

// Ago is a length of time in words, coarse.
func (w Words) Ago(d time.Duration) (string, error) {
	switch {
	case d < 2*time.Second:
		return w.A("ago.now")
	case d < 2*time.Minute:
		return w.N("ago.seconds", int(d.Seconds()))
	default:
		return w.N("ago.minutes", int(d.Minutes()))
	}
}
