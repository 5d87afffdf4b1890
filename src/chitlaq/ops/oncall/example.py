"""What `chitlaq oncall init` writes: an example of everything, with the runbook's deadlines."""

EXAMPLE = """\
# Who is told of incidents, and how. `chitlaq oncall show` says what follows from it, and
# `chitlaq oncall test` sends a message to every channel. Only you may read this file: it contains secrets.

timezone = "Europe/Istanbul"    # of all handovers and hours below

# People, and their channels in the order in which they are tried: a mail address, or any URL of Apprise
# (https://appriseit.com/services/): slack://…, ntfys://…, tgram://…, twilio://… for SMS and calls.
# after_minutes is the pause after which a channel is used if nobody has acknowledged until then.

[people.ada]
name = "Ada Example"
channels = [
    { url = "ada@example.edu" },
    # { url = "slack://TokenA/TokenB/TokenC/@ada", name = "slack" },
    # { url = "twilio://AccountSid:AuthToken@FromPhone/ToPhone", name = "sms", after_minutes = 3 },
]

[people.grace]
channels = [{ url = "grace@example.edu" }]

# Rotations: whose turn it is when. A later layer goes before an earlier one where it covers the time.

[rotations.primary]
[[rotations.primary.layers]]
people = ["ada", "grace"]
every = "week"              # or "day"
handover = "mon 09:00"      # for days: "09:00"
first_day = 2026-01-05      # when the first turn begins

# [[rotations.primary.layers]]
# people = ["grace"]
# every = "day"
# handover = "20:00"
# first_day = 2026-01-05
# hours = "20:00-08:00"     # only at night
# days = ["fri", "sat"]     # only in nights that begin on these days

# Levels: a rotation, or people. support gets the daily list of P3.

[levels]
on-call = "primary"
lead = ["grace"]
cto = ["ada"]
support = ["ada"]

# What happens to an incident that nobody acknowledges. These are the runbook's deadlines, and the defaults.

# [policy.P0]
# levels = ["on-call", "lead", "cto"]
# within_minutes = 15       # all of them, in equal parts
# repeats = true            # and round again
# [policy.P1]
# levels = ["on-call", "lead"]
# within_minutes = 60
# [policy.P2]
# levels = ["on-call"]
# within_minutes = 240
"""
