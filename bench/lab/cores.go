package lab

// Split shares the cores that this process may use between what is measured and
// everything else: the load, what stands behind, the store. With one core there
// is nothing to share, and on systems that cannot bind both are empty.
func Split() (servers, others []int) {
	return split(allowed())
}

func split(cores []int) (servers, others []int) {
	if len(cores) < 2 {
		return nil, nil
	}
	half := len(cores) / 2
	return cores[:half], cores[half:]
}
