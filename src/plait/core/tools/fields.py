"""Keys of outputs: the name of a field, or data in the place of a key.

Outputs have both: `{"title": …, "state": …}`, and `{"ada@example.com": …}` or `{"ada": 3, "grace":
4}`. The last looks just like a record, so a field is recognised only by its words: each is common
in names of fields, or appears in the definition of the tool, which everyone may read anyway.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Set

from ..values.strict import Json, JsonObject

MAX_NAME_CHARS = 40
MAX_NAME_DIGITS = 3
MAX_TEXTS = 500
"""Most texts of a tool's definition that are read for words, each up to `MAX_TEXT_CHARS`."""
MAX_TEXT_CHARS = 2_000

_NAME = re.compile(r"[@$_]{0,2}[^\W\d_]\w*(?:-\w+)*")
_WORD = re.compile(r"[^\W_]+")
_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_COMMON = frozenset(
    """
    abbreviation about absolute accept access account action active activity actor actual add added
    addition additional address address1 address2 admin after age agent alias align all allow
    allowed amount and api app application approval approve approved arch archive archived area arg
    argument array artifact as ask asset assigned assignee at attach attachment attempt attribute
    auth author authored authorization auto available avatar average avg back background balance bar
    base base64 basename batch before begin between bio bit blob block board body bool boolean
    border bot bottom bound box branch brand browser bucket budget build bundle business by byte
    cache cached calendar call callback camera cancel cancelled capacity caption card cart case
    category cause cell center change changed channel char character charset chart check checked
    checkpoint checksum child children chunk city class clean client clone close closed cluster code
    color colour column comment commit committed committer common company compare complete completed
    component compressed condition conf confidence config configuration confirmed conflict connected
    connection consumer contact container contains content context continue contributor control
    conversation coordinate copy core cost count country county coverage cpu create created creation
    creator credit cron currency current cursor custom customer cycle daily dashboard data database
    dataset date day deadline debug decision default definition delay delete deleted deletion
    delivery delta dep department dependency deploy deployment deprecated depth description
    destination detail device diff dimension dir directory disabled discount disk display distance
    district doc document documentation domain done download draft driver due duplicate duration
    each edge edit edited editor effect elapsed element email empty enabled encoding end ended
    endpoint engine entity entry env environment error eta etag event exact example excerpt exclude
    executed execution exists exit expected expire expired expiry export ext extension external
    extra facet factor fail failed failure fallback false family favorite feature fee feed field
    file filename fill filter filtered final find finished first flag folder follower following font
    footer for forecast fork format formatted forward found fragment free frequency from full
    fullname function gateway gender generated geo geometry git global goal grade graph grid group
    guid handle has hash head header headline health height help hidden high highlight hint history
    hit home homepage host hostname hour href html http humidity icon id identifier identity idx
    image import in include included index info information initial inline input insert inside
    install installed instance int integer integration interface internal interval invalid inventory
    invoice ip ipv4 ipv6 is iso issue issuer item iteration job join json key keyword kind label
    lane lang language last lat latency latest latitude layer layout leaf left legacy length level
    library license limit line line1 line2 link list lng load local locale location lock locked log
    login logo lon long longitude lookup low machine main maintainer major manager map markdown
    markup mask match matched matrix max maximum md5 me mean media median medium member memory
    mentions menu merge mergeable merged message meta metadata method metric milestone mime min
    minimum minor minute missing mode model modified modifier module moment month more mount moved
    multiple my name namespace native net network new next nickname node none normal note
    notification null num number numeric object of off offer office offset old on online open opened
    operation operator option optional or order org organisation organization origin original os
    other out output over owner package page pagination paid parameter params parent parsed part
    partial participant party password patch path pattern payload payment pending percent percentage
    period permission phone photo pid pipeline place plain plan platform player playlist plugin
    point policy pool port position post postal posted power prefix presence present pressure
    preview previous price primary priority private probability problem process product profile
    progress project promotion property protected protocol provider public publish published
    publisher pull purpose push pushed quality quantity query question queue quota rain range rank
    rate rating ratio raw reaction read readme reason rebase received recent recipient record ref
    reference region registry relation relative release released remaining remote removed replace
    replied reply repo report repository request requested require required reserved reset
    resolution resolved resource response result retry return review reviewer revision right role
    room root rotation route row rule run runner running runtime sale sample scale schedule
    scheduled schema scope score script search second secret section see seen segment select
    selected self sender sent sequence series server service session set setting severity sha sha1
    sha256 sha512 shape share shared shipping short show signature signed similar since single site
    size sku slot slug snapshot snippet socket sort sorted source space span speed stack stage
    staged star stargazers starred start started state statement static station stats status step
    stock stop storage store stream street string style sub subject submitted subscriber
    subscription subtitle subtotal success successful suffix suggestion sum summary support
    supported symbol sync system table tag target task tax team temp temperature template tenant
    term test text theme thing thread threshold thumbnail ticket tier tile time timeline timeout
    timestamp timezone title to today token tool top topic total trace track tracking traffic
    transaction transfer translation tree trend trigger true truncated type unique unit unread until
    untracked update updated updater upload uploaded uri url usage use used user username uuid valid
    validated validation value variable variant vendor verified version via video view viewer
    visibility visible volume vote wait warehouse warning watch watchers weather web webhook website
    week weekday weight widget width wiki wind window windspeed with word work worker workflow
    workspace world write year zip zone zoom
    """.split()  # noqa: SIM905 - a list of words is read as words
)


def looks_like_name(key: str) -> bool:
    """Return whether *key* could name a field: it is short, and not a path, number or sentence."""
    return (
        len(key) <= MAX_NAME_CHARS
        and _NAME.fullmatch(key) is not None
        and sum(char.isdigit() for char in key) <= MAX_NAME_DIGITS
    )


def words_of(text: str) -> Iterator[str]:
    """Yield the words of a text or name, in lower case: `html` and `url` for `htmlURL`."""
    return (word.lower() for word in _WORD.findall(_HUMP.sub(" ", text)))


def words_in(definition: JsonObject) -> frozenset[str]:
    """Return the words of a tool's definition: of names, descriptions and all else in it."""
    words = {word for text in _texts(definition) for word in words_of(text)}
    return frozenset(words.union(*map(_singulars, words)))


def is_field(key: str, more: Set[str] = frozenset()) -> bool:
    """Return whether each word of *key* is common in names of fields, a letter, or in *more*."""
    words = list(words_of(key))
    return bool(words) and all(_is_common(word, more) for word in words)


def _is_common(word: str, more: Set[str]) -> bool:
    if len(word) == 1 and word.isalpha():
        return True
    return any(form in _COMMON or form in more for form in (word, *_singulars(word)))


def _singulars(word: str) -> Iterator[str]:
    for ending, instead in (("ies", "y"), ("es", ""), ("s", "")):
        if word.endswith(ending):
            yield word.removesuffix(ending) + instead


def _texts(definition: JsonObject) -> Iterator[str]:
    stack: list[Json] = [definition]
    room = MAX_TEXTS
    while stack and room > 0:
        room -= 1
        match stack.pop():
            case str() as text:
                yield text[:MAX_TEXT_CHARS]
            case dict() as members:
                yield from (name[:MAX_TEXT_CHARS] for name in list(members)[:room])
                room -= len(members)
                stack += list(members.values())[:room]
            case list() as elements:
                stack += elements[:room]
