"""The page in a real browser, against the real server."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import pyotp
import pytest

from .browser import Tab, chromium
from .chat import numbers
from .site import PASSWORD, Process, Site, Wire, wait_for

WEB = Path(__file__).parent.parent / "src" / "aigo" / "web"
SIGNED_IN = "Boolean(sessionStorage['aigo.session'])"
EMPTY = "Boolean(document.querySelector('.welcome'))"
ANSWER = "[...document.querySelectorAll('.turn.assistant')].at(-1)"
ENDED = f"{ANSWER}?.getAttribute('aria-busy') === 'false'"
WRITING = f"({ANSWER}?.innerText.match(/\\d+/g)?.length ?? 0) > 10"


@pytest.fixture(scope="module")
def wire(server: Process, site: Site) -> Wire:
    """The line between the browser and the server."""
    return Wire("127.0.0.1", site.ports[0])


@pytest.fixture(scope="module")
def url(wire: Wire) -> str:
    return f"http://127.0.0.1:{wire.port}/"


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory, url: str) -> Iterator[Tab]:
    with chromium(tmp_path_factory.mktemp("browser") / "profile") as tab:
        tab.screen(1280, 800)
        tab.open(url)
        yield tab


@pytest.fixture
def page(browser: Tab, url: str) -> Iterator[Tab]:
    """An empty conversation of an administrator, in English; nothing may go wrong behind the scenes."""
    browser.errors.clear()
    if not browser.run(SIGNED_IN):
        browser.open(url)
        sign_in(browser)
        browser.until(SIGNED_IN)
    browser.open(f"{url}#/")
    browser.until(EMPTY)
    yield browser
    assert browser.errors == []


def sign_in(tab: Tab, name: str = "ada", password: str = PASSWORD) -> None:
    tab.fill("textbox", "Name", name)
    tab.fill("textbox", "Password", password)
    tab.click("button", "Sign in")


def say(tab: Tab, text: str) -> None:
    tab.fill("textbox", "Your message", text)
    tab.press("Enter")


def conversation_of(tab: Tab) -> str:
    return str(tab.until("location.hash.match(/^#\\/c\\/(.+)/)?.[1]"))


def test_someone_signs_in_asks_and_reads_with_the_keyboard_alone(browser: Tab, url: str) -> None:
    browser.run("sessionStorage.clear()")
    browser.open(url)
    browser.until("document.activeElement.name === 'name'")
    browser.write("ada")
    browser.press("Tab")
    browser.write("wrong")
    browser.press("Enter")
    browser.see("[role=alert]", "The name or the password is wrong")
    browser.write(PASSWORD)
    browser.press("Enter")
    browser.until("document.activeElement.id === 'prompt'")
    browser.write("Good morning")
    browser.press("Enter", shift=True)
    assert browser.run("document.querySelectorAll('.turn').length") == 0, "Shift+Enter doesn't send"
    browser.press("Enter")
    browser.until(ENDED)
    browser.until("document.activeElement.id === 'prompt'")
    browser.until("document.querySelector('#live').textContent.includes('embedded scripted model')")
    browser.press("N", alt=True)
    browser.until(EMPTY)
    browser.press("ArrowDown", alt=True)
    browser.see(".turn.user", "Good morning")
    browser.press("F", alt=True)
    assert browser.focused() == "filter"
    browser.run("document.activeElement.blur()")
    browser.reload()
    browser.see(".turn.user", "Good morning")
    browser.run("document.querySelector('#new').focus()")
    browser.press("Tab", shift=True)
    assert browser.focused() == "skip"
    browser.press("Enter")
    assert browser.focused() == "prompt"
    assert browser.errors == []


def test_an_answer_streams_and_the_tool_call_can_be_opened(page: Tab) -> None:
    say(page, "What is 6 * 7?")
    page.see(".turn.user", "What is 6 * 7?")
    page.see(".turn.assistant", "The result is 42.")
    page.until(ENDED)
    assert page.run("document.querySelector('.step').dataset.tool") == "calculator"
    assert page.run("document.querySelector('.step pre').checkVisibility()") is False
    page.run("document.querySelector('.step summary').click()")
    page.see(".step pre", '"expression": "6 * 7"')
    page.see(".step pre", "42")
    page.reload()
    page.see(".turn.assistant .step summary", "Steps: 1")
    page.run("document.querySelector('.step summary').click()")
    page.see(".step .step summary", "6 * 7")


def test_a_reload_in_mid_answer_goes_on_without_losing_or_repeating_a_word(page: Tab) -> None:
    say(page, "count to 120")
    page.until(WRITING)
    page.reload()
    page.until(WRITING)
    page.until(ENDED)
    assert page.run(f"{ANSWER}.querySelector('.prose').innerText.trim()") == numbers(120).strip()
    assert page.run("document.querySelectorAll('.turn').length") == 2


def test_a_lost_connection_is_told_and_the_stream_goes_on(page: Tab, wire: Wire) -> None:
    say(page, "count to 120")
    page.until(WRITING)
    wire.cut()
    page.see("#banner", "The connection is lost")
    wire.mend()
    page.until(ENDED)
    assert page.run(f"{ANSWER}.querySelector('.prose').innerText.trim()") == numbers(120).strip()
    page.until("document.querySelector('#banner').hidden")


def test_what_could_not_be_sent_is_sent_once_when_the_server_is_back(page: Tab, wire: Wire, ada: httpx2.Client) -> None:
    say(page, "hello")
    page.until(ENDED)
    where = conversation_of(page)
    wire.cut()
    say(page, "hello again")
    page.see("#banner", "Not sent yet")
    wire.mend()
    page.until("document.querySelectorAll('.turn').length === 4")
    page.until(ENDED)
    asked = [row for row in ada.get(f"/api/v1/conversations/{where}/messages").json() if row["role"] == "user"]
    assert [row["content"] for row in asked] == ["hello", "hello again"]


def test_a_message_whose_fate_is_unknown_is_delivered_once_after_a_reload(page: Tab, ada: httpx2.Client) -> None:
    say(page, "first")
    page.until(ENDED)
    where = conversation_of(page)
    # As if the tab had been closed after the server took the message and before it could say so.
    sent = ada.post(
        f"/api/v1/conversations/{where}/runs", json={"input": "second"}, headers={"Idempotency-Key": "k" * 32}
    )
    wait_for("the run ends", lambda: ada.get(f"/api/v1/runs/{sent.json()['id']}").json()["status"] == "completed")
    kept = json.dumps({where: {"text": "second", "key": "k" * 32}})
    page.run(f"sessionStorage.setItem('aigo.pending', {json.dumps(kept)})")
    page.reload()
    page.until("sessionStorage['aigo.pending'] === '{}'")
    page.until(ENDED)
    rows = ada.get(f"/api/v1/conversations/{where}/messages").json()
    assert [row["content"] for row in rows if row["role"] == "user"] == ["first", "second"]
    assert page.run("document.querySelectorAll('.turn').length") == 4


def test_an_answer_can_be_stopped(page: Tab) -> None:
    say(page, "count to 2000")
    page.until(WRITING)
    page.press("Escape")
    page.see(".turn.assistant .end", "Stopped")
    assert page.run("document.querySelector('#send').checkVisibility()")


def test_a_failed_answer_can_be_asked_for_again(page: Tab, site: Site) -> None:
    say(page, "good evening")
    page.until(ENDED)
    where = conversation_of(page)
    error = json.dumps({"code": "interrupted", "message": "The server was restarted.", "retryable": True})
    site.sql("UPDATE runs SET status = 'failed', error = %s WHERE conversation_id = %s", error, where)
    page.reload()
    page.see(".turn.assistant .notice", "The server was restarted. What had been said is kept.")
    page.click("button", "Ask again")
    page.until("document.querySelectorAll('.turn').length === 4")
    page.until(ENDED)
    assert "You wrote: “good evening”" in page.run(f"{ANSWER}.innerText")


@contextmanager
def somebody(tab: Tab, url: str, name: str, password: str = PASSWORD) -> Iterator[None]:
    """Be somebody else for a while."""
    tab.run("sessionStorage.clear()")
    tab.open(url)
    sign_in(tab, name, password)
    tab.until(SIGNED_IN)
    try:
        yield
    finally:
        tab.run("sessionStorage.clear()")


def test_an_administrator_makes_changes_and_disables_a_user(page: Tab, site: Site) -> None:
    page.click("link", "Users")
    page.click("button", "New user")
    page.fill("textbox", "Name", "carla")
    page.fill("textbox", "Password", "short")
    page.press("Enter")
    assert page.run("document.querySelector('dialog[open]') !== null"), "the browser refuses a short password"
    page.fill("textbox", "Password", PASSWORD)
    page.press("Enter")
    page.see("#panel table", "carla")
    page.click("button", "Change the user carla")
    page.fill("textbox", "Shown as", "Carla <b>C.</b>")
    page.run("document.querySelector('dialog select').value = 'auditor'")
    page.click("button", "Save")
    page.see("#panel table", "Carla <b>C.</b>")
    page.see("#panel table", "Auditor")
    page.until("!document.querySelector('dialog')")
    page.click("button", "Change the user carla")
    page.click("checkbox", "Disabled: can't sign in")
    page.click("button", "Save")
    page.see("#panel .badge", "disabled")
    with site.client() as client:
        refused = client.post("/api/v1/auth/login", json={"name": "carla", "password": PASSWORD})
        assert refused.status_code == 401
    page.until("!document.querySelector('dialog')")
    page.click("link", "Audit log")
    page.see("#panel table", "user.change")
    page.fill("textbox", "Action", "user.create")
    page.press("Enter")
    page.until("document.querySelector('#panel table')?.innerText.includes('user.change') === false")
    page.see("#panel table", "user.create")
    page.click("link", "System")
    page.see("#panel table", "Database")
    page.see("#panel .badge", "ready")


def test_an_auditor_reads_what_auditors_may_and_is_offered_nothing_else(
    page: Tab, url: str, ada: httpx2.Client
) -> None:
    ada.post("/api/v1/users", json={"name": "olga", "password": PASSWORD, "role": "auditor"})
    with somebody(page, url, "olga"):
        page.see("#panel table", "olga")
        offered = page.run(
            "[...document.querySelectorAll('#sidebar :is(a, button)')].filter((n) => n.checkVisibility())"
            ".map((n) => n.innerText.trim()).filter(Boolean)"
        )
        assert offered == ["Users", "Audit log", "System", "API keys", "Account", "Settings"]
        assert page.run("document.querySelectorAll('#panel button').length") == 0
        page.click("link", "Audit log")
        page.see("#panel table", "login")


def test_a_second_factor_is_set_up_asked_for_and_replaced_by_a_recovery_code(
    page: Tab, url: str, ada: httpx2.Client
) -> None:
    ada.post("/api/v1/users", json={"name": "fred", "password": PASSWORD})
    with somebody(page, url, "fred"):
        page.until(EMPTY)
        page.click("link", "Account")
        page.click("button", "Set up a second factor")
        page.see("dialog p", "Put this secret into your authenticator")
        secret = page.text("dialog p").partition(": ")[2].replace(" ", "")
        page.fill("textbox", "First code", "000000")
        page.press("Enter")
        page.see("dialog [role=alert]", "That code is wrong")
        page.fill("textbox", "First code", pyotp.TOTP(secret).now())
        page.press("Enter")
        page.see("dialog h2", "Recovery codes")
        codes = page.text("dialog .codes").split()
        page.click("button", "Close")
        page.see("#panel h2", "set up")
        page.click("button", "Sign out")
        page.see("[role=alert]", "You are signed out.")
        sign_in(page, "fred")
        page.see("label", "Code of your second factor")
        page.until("document.activeElement.name === 'code'")
        page.write(codes[0])
        page.press("Enter")
        page.see("#who", "fred")


def test_a_token_that_ran_out_is_renewed_without_a_word(page: Tab) -> None:
    say(page, "What is 1 + 2?")
    page.until(ENDED)
    page.run(
        "(() => { const kept = JSON.parse(sessionStorage['aigo.session']); window.first = kept.refresh_token;"
        " sessionStorage['aigo.session'] = JSON.stringify({ ...kept, access_token: 'over' }) })()"
    )
    page.reload()
    page.see(".turn.assistant", "The result is 3.")
    assert page.run("JSON.parse(sessionStorage['aigo.session']).access_token") != "over"


def test_a_page_that_arrived_in_part_loads_itself_again(page: Tab) -> None:
    page.send("Network.setBlockedURLs", urls=["*/js/session.js"])
    page.send("Page.reload")
    page.until("sessionStorage['aigo.reloaded'] === '1'")
    page.send("Network.setBlockedURLs", urls=[])
    page.until(EMPTY)
    page.until("!('aigo.reloaded' in sessionStorage)")


def test_a_plan_is_shown_with_its_steps(page: Tab) -> None:
    page.click("button", "Plan the steps first")
    assert page.run("document.querySelector('#plan').ariaPressed") == "true"
    say(page, "What is 6 * 7?")
    page.until(ENDED)
    page.until("document.querySelectorAll('.plan li.done').length > 0")
    page.click("button", "Plan the steps first")


@contextmanager
def answers(tab: Tab, path: str, body: Any) -> Iterator[None]:
    """Let the server's answer to one request be this."""
    script = f"""(() => {{
        const real = window.fetch;
        window.fetch = (where, ...rest) => where === {json.dumps(path)}
            ? Promise.resolve(Response.json({json.dumps(body)})) : real(where, ...rest);
    }})()"""
    added = tab.send("Page.addScriptToEvaluateOnNewDocument", source=script)
    try:
        yield
    finally:
        tab.send("Page.removeScriptToEvaluateOnNewDocument", identifier=added["identifier"])


def test_a_provider_is_offered_and_leads_back_to_where_one_was(page: Tab, url: str) -> None:
    tokens = page.run("JSON.parse(sessionStorage['aigo.session'])")
    page.run("sessionStorage.clear()")
    with answers(page, "/api/v1/auth/methods", [{"kind": "oidc", "label": "Our <b>login</b>", "url": "/health"}]):
        page.open(f"{url}#/keys")
        page.click("link", "Our <b>login</b>")
        page.until("location.pathname === '/health'")
    page.open(f"{url}#sign-in-failed=not_entitled")
    page.see("[role=alert]", "You are known, but may not use this service.")
    assert page.run("location.hash") == "#/keys", "the way back was kept, and the failure isn't in the address"
    with answers(page, "/api/v1/auth/oidc/token", tokens):
        page.open(f"{url}#signed-in")
        page.until(SIGNED_IN)
        page.see("#who", "ada")


def test_a_document_is_uploaded_read_and_deleted(page: Tab, worker: Process, tmp_path: Path) -> None:
    file = tmp_path / "<img src=x onerror=window.pwned=1>.txt"
    file.write_text("Refunds are paid within fourteen days.")
    unreadable = tmp_path / "program.exe"
    unreadable.write_bytes(b"MZ")
    page.click("link", "Documents")
    page.see("#panel", "There are no documents.")
    root = page.send("DOM.getDocument", depth=0)["root"]["nodeId"]
    field = page.send("DOM.querySelector", nodeId=root, selector="input[type=file]")["nodeId"]
    page.send("DOM.setFileInputFiles", nodeId=field, files=[str(file), str(unreadable)])
    page.see("#panel table", file.name)
    page.see("#panel .notice", "program.exe: Documents of that type can't be read.")
    page.see("#panel .badge", "ready", 30)
    assert page.run("window.pwned") is None
    page.click("button", f"Delete {file.name}")
    page.click("button", "Delete")
    page.see("#panel", "There are no documents.")


ATTACKS = [
    "<img src=x onerror=window.pwned=1><script>window.pwned=1</script>",
    "[open](javascript:window.pwned=1) [data](data:text/html,<script>window.pwned=1</script>)",
    "![x](http://elsewhere.invalid/pixel.png) <svg onload=window.pwned=1>",
    "`<b>`</b> **<i onclick=window.pwned=1>bold</i>**",
]


def test_markup_from_people_and_models_stays_text(page: Tab, url: str) -> None:
    page.requests.clear()
    for attack in ATTACKS:
        page.open(f"{url}#/")
        page.until(EMPTY)
        say(page, attack)
        page.until(ENDED)
        page.see(".turn.user", attack)
    shown = "'#messages, #conversations, #title'"
    alien = "img, script, svg:not(.icon), b, i, iframe, [onclick], [onerror], [onload]"
    assert page.run(f"[...document.querySelectorAll({shown})].every((node) => !node.querySelector('{alien}'))")
    links = page.run("[...document.querySelectorAll('#messages a')].map((link) => link.protocol)")
    assert set(links) <= {"http:", "https:", "mailto:"}
    assert page.run("window.pwned") is None
    assert [asked for asked in page.requests if not asked.startswith((url, "about:"))] == []


def test_the_browser_itself_refuses_markup_and_scripts_from_elsewhere(page: Tab) -> None:
    assert page.run(
        "(() => { try { document.body.innerHTML = '<b>x</b>' } catch (error) { return error.name } })()"
    ) == ("TypeError")
    refused = "new Promise((yes) => addEventListener('securitypolicyviolation', (e) => yes(e.effectiveDirective)))"
    attempt = "const s = document.createElement('img'); s.src = 'http://elsewhere.invalid/x'; document.body.append(s)"
    assert page.run(f"(() => {{ const seen = {refused}; {attempt}; return seen }})()") == "img-src"
    page.errors.clear()


MARKDOWN = [
    ("plain", "<p>plain</p>"),
    ("one\ntwo\n\nthree", "<p>one<br>two</p><p>three</p>"),
    ("# Big\n#### Small", "<h3>Big</h3><h6>Small</h6>"),
    ("**bold** *thin* ~~gone~~ `a*b*`", "<p><strong>bold</strong> <em>thin</em> <s>gone</s> <code>a*b*</code></p>"),
    ("snake_case_name and 2 * 3 * 4", "<p>snake_case_name and 2 * 3 * 4</p>"),
    ("**中文**加粗`代码`。", "<p><strong>中文</strong>加粗<code>代码</code>。</p>"),
    ("- a\n- b\n  - c\n- d", "<ul><li>a</li><li>b<ul><li>c</li></ul></li><li>d</li></ul>"),
    ("3. x\n4. y", '<ol start="3"><li>x</li><li>y</li></ol>'),
    ("> quoted\n> more", "<blockquote><p>quoted<br>more</p></blockquote>"),
    ("a\n\n---\n\nb", "<p>a</p><hr><p>b</p>"),
    (r"\*no\* 1 < 2 && 3", "<p>*no* 1 &lt; 2 &amp;&amp; 3</p>"),
    ("[x](javascript:alert(1))", "<p>[x](javascript:alert(1))</p>"),
    ("[x](/relative)", "<p>[x](/relative)</p>"),
    ("&lt;b&gt;", "<p>&amp;lt;b&amp;gt;</p>"),
]


def test_markdown_becomes_the_right_elements(page: Tab) -> None:
    script = "import('/js/markdown.js').then(({{ markdown }}) => {}.map((text) => markdown(text).innerHTML))"
    drawn = page.run(script.format(json.dumps([text for text, _ in MARKDOWN])))
    assert drawn == [html for _, html in MARKDOWN]


def test_markdown_draws_tables_code_and_links(page: Tab) -> None:
    text = "|a|b|\n|-|:-:|\n|1|x\\|y|\n\n```py\nprint('<b>')\n\n# no heading\n```\n\nsee https://docs.example/a_(b)."
    page.run(
        f"import('/js/markdown.js').then((module) => window.drawn = module.markdown({json.dumps(text)})).then(() => 1)"
    )
    cells = page.run("[...drawn.querySelectorAll('th, td')].map((cell) => cell.textContent)")
    assert cells == ["a", "b", "1", "x|y"]
    assert page.run("drawn.querySelector('pre').textContent") == "print('<b>')\n\n# no heading"
    assert page.run("drawn.querySelectorAll('h3').length") == 0
    assert page.run("drawn.querySelector('a').getAttribute('href')") == "https://docs.example/a_(b)"
    assert page.run("drawn.querySelector('a').rel") == "noopener noreferrer nofollow"


def test_a_text_that_comes_in_pieces_ends_up_as_the_whole_would(page: Tab) -> None:
    text = "Intro\n\n1. one\n2. **two**\n\n```js\nlet a = 1;\n```\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\nEnd *here*."
    same = page.run(
        f"""import('/js/markdown.js').then(({{ Markdown, markdown }}) => {{
            const place = new Markdown();
            for (const letter of {json.dumps(text)}) {{ place.append(letter); place.draw(); }}
            return place.node.innerHTML === markdown({json.dumps(text)}).innerHTML;
        }})"""
    )
    assert same is True


def test_long_and_nested_texts_do_not_hold_up_the_page(page: Tab) -> None:
    texts = [
        "**a " * 4000,
        "`" * 4000 + "a",
        "[" * 4000,
        "> " * 400 + "deep",
        "- " * 400 + "deep",
        "_a " * 4000,
        "|" * 4000,
    ]
    slow = page.run(
        f"""import('/js/markdown.js').then(({{ markdown }}) => {json.dumps(texts)}.map((text) => {{
            const begun = performance.now();
            markdown(text);
            return Math.round(performance.now() - begun);
        }}))"""
    )
    assert max(slow) < 2000, slow


def test_the_language_follows_the_browser_and_the_choice(browser: Tab, url: str, page: Tab) -> None:
    try:
        page.languages("zh-CN,zh;q=0.9,en;q=0.5")
        page.reload()
        page.see("#new", "新建对话")
        assert page.run("document.documentElement.lang") == "zh-Hans"
        page.run("location.hash = '#/settings'")
        page.until("document.querySelector('#title').textContent === '设置'")
        page.run("[...document.querySelectorAll('#panel select')][0].focus()")
        page.send("Input.insertText", text="E")
        page.press("ArrowUp")
        page.see("#new", "New conversation")
        page.reload()
        page.see("#new", "New conversation")
        assert page.run("document.documentElement.lang") == "en"
    finally:
        page.languages("en-GB")
        page.run("localStorage.clear()")


def test_both_languages_have_all_words_and_the_page_uses_no_other(page: Tab) -> None:
    english, chinese = (
        page.run(f"import('/js/lang/{tag}.js').then((module) => module.default)") for tag in ("en", "zh")
    )
    assert english.keys() == chinese.keys()
    for word in english:
        assert re.findall(r"{\w+}", english[word]) == re.findall(r"{\w+}", chinese[word]), word
    sources = "".join(path.read_text() for path in WEB.rglob("*.*") if path.parent.name != "lang")
    used = set(re.findall(r"""\bt\("([^"]+)"|data-t(?:-[a-z]+)?="([^"]+)""", sources))
    assert {one or other for one, other in used} <= english.keys()
    assert [key for key in english if f'"{key}"' not in sources and f"`{key.split('.')[0]}." not in sources] == []


def test_a_conversation_is_renamed_found_saved_and_deleted(page: Tab, worker: Process, tmp_path: Path) -> None:
    page.send("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(tmp_path))
    say(page, "What is 2 + 3?")
    page.until(ENDED)
    page.click("button", "Rename the conversation")
    page.fill("textbox", "Title", "Budget <2027>")
    page.press("Enter")
    page.see("#title", "Budget <2027>")
    page.fill("searchbox", "Find a conversation", "budget")
    page.until("document.querySelectorAll('#conversations li').length === 1")
    page.click("button", "Export the conversation")
    page.click("button", "Export")
    saved = wait_for("the file", lambda: next(tmp_path.glob("*.md"), None))
    assert "# Budget <2027>" in saved.read_text()
    assert "What is 2 + 3?" in saved.read_text()
    page.until("!document.querySelector('dialog')")
    page.click("button", "Delete the conversation")
    page.press("Escape")
    page.see("#title", "Budget <2027>")
    page.click("button", "Delete the conversation")
    page.click("button", "Delete")
    page.until(EMPTY)
    page.see("#none", "No conversation is called like that.")
    page.reload()


def test_a_key_is_made_shown_once_used_and_revoked(page: Tab, site: Site) -> None:
    page.click("link", "API keys")
    page.click("button", "New key")
    page.fill("textbox", "Name", "nightly report")
    page.press("Enter")
    key = page.until("document.querySelector('input.secret')?.value")
    with site.client() as program:
        program.headers["Authorization"] = f"Bearer {key}"
        assert program.get("/api/v1/conversations").status_code == 200
        page.click("button", "Close")
        page.until("!document.querySelector('dialog')")
        page.see("#panel table", "nightly report")
        assert key not in page.run("document.documentElement.outerHTML")
        page.click("button", "Revoke the key nightly report")
        page.click("button", "Revoke")
        page.see("#panel .badge", "revoked")
        assert program.get("/api/v1/conversations").status_code == 401


def test_a_session_that_ended_elsewhere_leads_to_the_form_and_back_to_the_same_place(page: Tab, site: Site) -> None:
    say(page, "What is 1 + 1?")
    page.until(ENDED)
    where = conversation_of(page)
    page.fill("textbox", "Your message", "half a thou")
    token = page.run("JSON.parse(sessionStorage['aigo.session']).access_token")
    with site.client() as elsewhere:
        assert elsewhere.post("/api/v1/auth/logout", headers={"Authorization": f"Bearer {token}"}).status_code == 204
    page.until("import('/js/api.js').then(({ get }) => get('/conversations')).then(() => false, () => true)")
    page.see("[role=alert]", "Your session has ended.")
    sign_in(page)
    page.see(".turn.user", "What is 1 + 1?")
    assert conversation_of(page) == where
    assert page.run("document.querySelector('#prompt').value") == "half a thou"


def test_a_small_screen_has_everything_and_nothing_sticks_out(page: Tab) -> None:
    try:
        page.screen(360, 640)
        say(page, "What is 6 * 7?\n" + "x" * 300)
        page.until(ENDED)
        assert page.run("document.documentElement.scrollWidth") == 360
        page.until("!document.querySelector('#sidebar').checkVisibility({ checkVisibilityCSS: true })")
        page.click("button", "Open the menu")
        assert page.focused() == "new"
        page.press("Escape")
        assert page.focused() == "menu"
        page.click("button", "Open the menu")
        page.click("link", "API keys")
        page.until("document.querySelector('#title').textContent === 'API keys' && !document.querySelector('.drawer')")
        assert page.run("document.documentElement.scrollWidth") == 360
    finally:
        page.screen(1280, 800)


def test_everything_that_can_be_used_has_a_name(page: Tab) -> None:
    say(page, "What is 6 * 7?")
    page.until(ENDED)
    for place in ("#/keys", "#/settings", None):
        page.run(f"location.hash = {json.dumps(place)}" if place else "history.go(-2)")
        page.until("document.querySelector('#title').textContent")
        nodes = page.send("Accessibility.getFullAXTree")["nodes"]
        roles = {
            "button",
            "link",
            "textbox",
            "searchbox",
            "combobox",
            "heading",
            "region",
            "navigation",
            "DisclosureTriangle",
        }
        used = [node for node in nodes if not node["ignored"] and node["role"]["value"] in roles]
        assert len(used) > 10
        assert [node for node in used if not node.get("name", {}).get("value")] == []


READABLE = [
    ("text", "back"), ("text", "side"), ("text", "card"), ("text", "tint"), ("text", "warn-back"), ("dim", "back"),
    ("dim", "side"), ("dim", "card"), ("dim", "sunk"), ("on-accent", "accent"), ("accent-strong", "card"),
    ("accent-strong", "tint"), ("danger", "danger-back"), ("danger", "card"), ("card", "danger"),
]  # fmt: skip


@pytest.mark.parametrize("dark", [False, True])
def test_words_stand_out_from_what_is_behind_them(page: Tab, dark: bool) -> None:
    def luminance(colour: list[float]) -> float:
        parts = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in colour]
        return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]

    page.screen(1280, 800, dark=dark)
    names = sorted({name for pair in READABLE for name in pair})
    colours = page.run(
        f"""{json.dumps(names)}.map((name) => {{
            const probe = document.body.appendChild(document.createElement('i'));
            probe.style.color = `var(--${{name}})`;
            const rgb = getComputedStyle(probe).color.match(/[\\d.]+/g).slice(0, 3).map((part) => part / 255);
            probe.remove();
            return [name, rgb];
        }})"""
    )
    known = {name: luminance(rgb) for name, rgb in colours}
    ratios = {
        (front, back): (max(known[front], known[back]) + 0.05) / (min(known[front], known[back]) + 0.05)
        for front, back in READABLE
    }
    assert {pair: round(ratio, 2) for pair, ratio in ratios.items() if ratio < 4.5} == {}
    page.screen(1280, 800)


def test_the_page_is_served_with_a_strict_policy_and_asked_for_anew(site: Site, server: Process) -> None:
    files = [path for path in WEB.rglob("*") if path.is_file()]
    assert len(files) > 15
    with site.client() as anyone:
        for path in ("", *(str(file.relative_to(WEB)) for file in files)):
            answer = anyone.get(f"/{path}")
            assert answer.status_code == 200, path
            policy = answer.headers["content-security-policy"]
            assert "default-src 'none'; script-src 'self'" in policy
            assert "trusted-types 'none'" in policy
            assert "unsafe" not in policy
            assert answer.headers["cache-control"] == "no-cache"
        tag = answer.headers["etag"]
        assert anyone.get(f"/{path}", headers={"If-None-Match": tag}).status_code == 304
        html = anyone.get("/").text
    assert "<script>" not in html
    assert " on" + "click" not in html
    assert "//" not in html.replace("<!doctype", "")
