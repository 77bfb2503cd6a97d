"""Long and regular work, apart from requests: the queue, the jobs, and the process that runs them."""
