"""Texts of the demo's posts: topics with openings and continuations, and the words to fill in.

``{slot}`` is replaced by a word of `SLOTS`, ``{course}`` by a course of the author's department. A post
is an opening, often a continuation, sometimes a tag: about ten million texts.
"""

from __future__ import annotations

from typing import NamedTuple


class Topic(NamedTuple):
    openings: tuple[str, ...]
    continuations: tuple[str, ...]
    replies: tuple[str, ...]
    tags: tuple[str, ...]


SLOTS: dict[str, tuple[str, ...]] = {
    "place": (
        "the main library", "the north reading room", "the old refectory", "the science block",
        "the courtyard", "lecture hall 3", "the media lab", "the roof garden", "the boathouse",
        "the student union", "the west stairwell", "the print room", "the botanical garden",
        "the engineering workshop", "the music rooms", "the law library", "building C",
        "the bike shed", "the seminar room upstairs", "the common room",
    ),
    "time": (
        "this morning", "tonight", "on Thursday", "on Friday evening", "at 8 am", "at lunch",
        "after the lecture", "before the exam", "this weekend", "on Monday at six", "around seven",
        "between classes", "after midnight", "on Wednesday", "on Sunday afternoon", "on Tuesday",
        "right after the tutorial", "during the break", "at the usual time", "over breakfast",
    ),
    "food": (
        "lentil soup", "pumpkin curry", "the vegan lasagne", "pierogi", "mushroom risotto",
        "falafel", "dumplings", "jollof rice", "the tomato pasta", "cardamom buns", "ramen",
        "the lemon cake", "black bean tacos", "cheese toasties", "apple crumble", "shakshuka",
        "the chickpea stew", "banana bread", "bibimbap", "spinach pie",
    ),
    "club": (
        "the chess club", "the choir", "the rowing club", "the debating society", "the film club",
        "the robotics team", "the hiking group", "the drama society", "the radio station",
        "the climbing club", "the gardening group", "the board games night", "the jazz band",
        "the astronomy society", "the improv group", "the cycling club", "the poetry circle",
        "the volleyball team", "the language café", "the repair café",
    ),
    "thing": (
        "a blue umbrella", "a grey water bottle", "a calculator", "a set of keys with a red tag",
        "a student card", "a green scarf", "a USB stick", "a pair of glasses", "a black notebook",
        "one glove", "a bike helmet", "a lunch box", "wireless earphones", "a knitted hat",
        "a library book about whales", "a charger", "a thermos", "a sketchbook", "a bike light",
        "a tote bag full of oranges",
    ),
    "weather": (
        "the first snow", "this rain", "that fog", "the sunshine", "the storm", "this heat",
        "the wind", "the frost", "the thunder", "this grey sky", "the rainbow over the chapel",
        "the drizzle", "the warm evening", "the hail",
    ),
    "how": (
        "surprisingly good", "harder than I thought", "better than last year", "a bit of a mess",
        "worth getting up for", "exactly what I needed", "longer than planned", "quite magical",
        "louder than expected", "calmer than usual", "completely full", "almost too easy",
        "still confusing", "the highlight of my week", "not for the faint of heart", "oddly fun",
    ),
    "count": ("two", "three", "four", "five", "six", "seven", "a dozen", "twenty", "forty"),
    "mood": (
        "Tired but happy.", "No regrets.", "Send help.", "Would do it again.", "Who else?",
        "Ask me again in a week.", "Small victories.", "I need a nap.", "Best day so far.",
        "Never again. Until next week.", "Coffee first.", "Worth it.", "Feeling hopeful.",
        "My feet hurt.", "Still smiling.", "You had to be there.", "That is all.", "Onwards!",
    ),
}  # fmt: skip

TOPICS: tuple[Topic, ...] = (
    Topic(
        (
            "Anyone up for a study group on {course} {time}?",
            "Today's lecture on {course} was {how}.",
            "I finally understand {course}, or at least {count} pages of it.",
            "Looking for {count} people to go through the {course} problem sheet {time}.",
            "Wrote {count} pages of notes on {course} in {place}.",
            "My {course} tutor explained it with a drawing and suddenly it was {how}.",
            "Question about {course}: does anyone have last year's exercises?",
        ),
        (
            "We could meet in {place}.",
            "I can bring {food}.",
            "{mood}",
            "Beginners welcome, I am one too.",
            "The trick is to start {time} and not the night before.",
            "If you have good notes on {course}, I will trade them for {food}.",
        ),
        (
            "Count me in, {time} suits me.",
            "I have notes on {course} that I can share.",
            "Same here. The last part of {course} was {how}.",
            "Could we do {place} instead? It is quieter.",
            "The recording helps, I watched it {time}.",
        ),
        ("studygroup", "lectures", "firstyear", "notes"),
    ),
    Topic(
        (
            "Exam in {course} done.",
            "{count} days until the {course} exam and I have just found {place}.",
            "Revision plan: {course} {time}, sleep afterwards.",
            "The {course} exam was {how}.",
            "Has anyone heard when the {course} results come out?",
            "Night shift in {place} for {course}, there are {count} of us.",
        ),
        (
            "{mood}",
            "Celebrating with {food} {time}.",
            "Question {count} was {how}, wasn't it?",
            "If you see me in {place}, please tell me to go home.",
            "Good luck to everyone who writes {time}!",
        ),
        (
            "Good luck {time}! You have got this.",
            "Question {count} got me as well.",
            "They said results come {time}.",
            "Go to bed. {course} will still be there {time}.",
            "I thought it was {how}, to be honest.",
        ),
        ("exams", "finals", "revision", "nosleep"),
    ),
    Topic(
        (
            "The canteen has {food} today and it is {how}.",
            "Whoever put {food} on the menu {time}: thank you.",
            "Cooked {food} for {count} people in the shared kitchen.",
            "Serious question: where do you get {food} near campus {time}?",
            "Ranking of campus lunches: {food} first, everything else far behind.",
            "Free {food} in {place} {time}, bring your own plate.",
        ),
        (
            "The queue reached {place}.",
            "{mood}",
            "Second helping was {how}.",
            "Only {count} portions left when I came.",
            "I would walk through {weather} for it.",
        ),
        (
            "Is there any left, or should I settle for {food}?",
            "{food} is better, I will not be taking questions.",
            "On my way with {count} friends.",
            "I had it {time}: {how}.",
            "Recipe, please! I make {food} in return.",
        ),
        ("canteen", "campusfood", "cooking", "lunch"),
    ),
    Topic(
        (
            "Open evening of {club} {time} in {place}.",
            "First time at {club}: {how}.",
            "{club} is looking for {count} new members, no experience needed.",
            "We at {club} won against Lakeview, {count} to one!",
            "Rehearsal with {club} {time}, spectators bring {food}.",
            "Thank you to the {count} people who came to {club} in spite of {weather}.",
        ),
        (
            "Come as you are.",
            "{mood}",
            "We meet in {place} and stay until someone finds the lights.",
            "There will be {food}.",
            "The new room is {how}.",
        ),
        (
            "I would love to join. Is it fine to just turn up {time}?",
            "See you {time}!",
            "Last time was {how}, I recommend it.",
            "Bringing {count} friends from my floor.",
            "Is there a place for beginners? I only know {club}.",
        ),
        ("clubs", "societies", "campuslife", "joinus"),
    ),
    Topic(
        (
            "Found {thing} in {place}.",
            "Lost {thing} {time}, probably near {place}.",
            "To whoever left {thing} in {place}: it is at the front desk.",
            "Has anybody seen {thing}? I had it {time}.",
        ),
        (
            "Reward: {food}.",
            "It has been through {weather} with me.",
            "Message me and describe it.",
            "{mood}",
            "I have asked {count} people already.",
        ),
        (
            "I think I saw it in {place}.",
            "Ask at the front desk, they have a box with {thing} and more.",
            "Fingers crossed! It took me {count} days to get {thing} back.",
            "A friend of mine lost {thing} {time}, I will ask.",
            "The cleaners put things like that into {place}.",
        ),
        ("lostandfound", "lost", "found"),
    ),
    Topic(
        (
            "{weather} over {place} {time}.",
            "Cycled to campus through {weather}: {how}.",
            "Because of {weather} the seminar moved to {place}.",
            "Nothing beats {weather} seen from {place}.",
            "Walked around {place} {time} and counted {count} herons.",
        ),
        (
            "{mood}",
            "I should have taken {thing}.",
            "Warmed up with {food} afterwards.",
            "Lectures can wait.",
            "Even the geese looked impressed.",
        ),
        (
            "From {place} it looked even better.",
            "I was out in it without a coat. {mood}",
            "Lovely. Do you have a picture from {place}?",
            "Meanwhile in {place}: no idea what weather is.",
        ),
        ("campus", "weather", "autumn", "views"),
    ),
    Topic(
        (
            "Our first results on {course} are in and they are {how}.",
            "Spent {count} hours on a figure for the {course} paper.",
            "The {course} experiment ran {time} without a single error.",
            "Reviewer {count} says that our {course} section is {how}.",
            "Looking for participants for a {course} study {time} in {place}.",
            "Poster session on {course} {time}, come and ask hard questions.",
            "Debugging a script for {course} {time}: it was a missing minus.",
        ),
        (
            "{mood}",
            "It takes {count} minutes and there is {food}.",
            "My supervisor had {food} and only said: 'interesting'.",
            "Repeating it {time} to be sure.",
            "The whole group celebrated with {food}.",
        ),
        (
            "Congratulations! Send me the preprint {time}?",
            "How many samples did you have? We only had {count}.",
            "We saw the same {time} with a different set-up.",
            "I can take part {time}.",
            "Interesting. Does it hold when you leave out {course}?",
        ),
        ("research", "phdlife", "science", "thesis"),
    ),
    Topic(
        (
            "Room free in a shared flat {time}, {count} minutes from {place}.",
            "Selling {thing}, used for {count} semesters.",
            "My flatmates made {food} and left the kitchen {how}.",
            "Does anyone know a bike repair that is open {time}?",
            "Moving {time}: can I borrow a van, or {count} strong friends?",
            "The heating in {place} is back. It took {count} days and {thing}.",
        ),
        (
            "Pickup near {place}.",
            "{mood}",
            "Payment in {food} is fine.",
            "Cats welcome, drum kits less so.",
            "Write to me {time}.",
        ),
        (
            "Is it still available? I could come {time}.",
            "I can help {time}.",
            "The repair café next to {place} is good, and cheap.",
            "We had the same on our floor, it was {how}.",
            "Interested! Can I come by {time}?",
        ),
        ("housing", "flatshare", "secondhand", "help"),
    ),
    Topic(
        (
            "Career fair in {place} {time}: {how}.",
            "Got the internship, after {count} interviews and a talk on {course}!",
            "Talk on {course} in industry {time}, doors open early.",
            "Mock interviews {time} in {place}, {count} places left.",
            "Anyone who did an exchange year: was it {how}?",
            "The volunteers' day needs {count} more hands {time}.",
        ),
        (
            "{mood}",
            "They even had {food}.",
            "Bring questions.",
            "Alumni of {club} will be there.",
            "Sign up before {time}, it fills quickly.",
        ),
        (
            "Congratulations, well deserved! The {count} of us knew it.",
            "I went last year, it was {how}.",
            "Is it open to people who do {course}?",
            "Signed up. See you {time}.",
            "Which company was it? I have mine {time}.",
        ),
        ("careers", "internship", "exchange", "volunteering"),
    ),
)

ENDINGS = (
    "Thanks!", "See you there.", "Cheers.", "Take care.", "Just saying.", "Tell your friends.",
    "Let me know.", "Ha.", "Honestly.", "Have a good one.",
)  # fmt: skip

REMARKS = (
    "Coffee in {place} {time}?",
    "I will bring {food}.",
    "Let us talk about it {time}.",
    "Found {thing} on the way, by the way.",
    "Half of {club} says the same.",
    "{mood}",
    "It was {how} in {place} as well.",
    "Even {weather} will not stop us.",
    "Remind me {time}, please.",
    "I asked {count} people, nobody knew.",
    "Reminds me of {course}: {how}.",
    "My whole floor talks about it, all {count} of us.",
    "There was {food} in {place} too.",
    "I have {course} {time}, afterwards I am free.",
)

AGREEMENTS = (
    "Yes!", "Oh nice.", "True.", "Hm.", "Good point.", "Wow.", "Same.", "Really?", "Ha!", "Thanks.",
    "Agreed.", "Well said.", "No way.", "Right.", "Good to know.",
)  # fmt: skip
