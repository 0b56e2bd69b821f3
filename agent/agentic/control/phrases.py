"""Turns of phrase by which an answer tells what it is: an announcement, a report or an offer, a farewell.

Each list holds regular expressions: those in `WORDS` stand between word boundaries, those in `SIGNS` are for scripts
that put no spaces between words.
"""

from __future__ import annotations

import re


def _any(words: tuple[str, ...], signs: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile(rf"(?<!\w)(?:{'|'.join(words)})(?!\w)|{'|'.join(signs)}", re.IGNORECASE)


INTENT = _any(
    (
        # English
        *(r"i['’]ll", "i will", "i must", r"we['’]ll", r"let me(?! know)", r"let['’]?s", "going to", "about to"),
        *("i (?:need|have|want) to", "i should", r"i(?: a|['’])m (?:now )?(?:calling|using|running)", "time to"),
        *("(?:now |next,? )?(?:calling|invoking|proceeding)", "next,? (?:i|we)", "my next (?:step|action|call)"),
        # German, French, Spanish, Portuguese, Italian, Russian
        *(r"ich (?:werde|rufe|verwende|benutze|nutze)", r"(?:jetzt|nun|zuerst|als nächstes) \w+ ich", "lass mich"),
        *("je vais", r"j['’](?:appelle|utilise)", "laissez?[- ]moi"),
        *("voy a", "vamos a", "d[ée]jame", "llamaré", "usaré"),
        *("vou", "irei", "deixe-me", "userò", "chiamerò", "sto per", r"ora (?:uso|chiamo|leggo)"),
        *(r"я (?:\w+ )?(?:вызову|использую|прочитаю|буду|проверю|посмотрю)", "давайте", "вызываю"),
    ),
    (
        # Korean, Japanese, Chinese
        *("겠습니다", "할게요", "할께요", "볼게요", "하려고 합니다"),
        *("(?:呼び出し|使い|使用し|実行し|読み|読み込み|確認し|調べ)(?:ます|ましょう)", "してみます"),
        *("我(?:将|將|会|會|要|来|來|先|现在|現在|需要)", "让我", "讓我", "接下来", "接下來", "正在调用"),
    ),
)
"""Somebody is going to do something."""

REPORT_OR_OFFER = _any(
    (
        *(
            "used",
            "called",
            "ran",
            "was",
            "were",
            "has",
            "had",
            "did",
            "after",
            "because",
            "already",
            "i(?:['’]ve| have)",
        ),
        *("if", "when", "whenever", "once you", "would", "could", "can", "cannot", r"can['’]t", r"couldn['’]t"),
        *("unable", "not", r"don['’]t", r"won['’]t", "never", "you", "your", "unless"),
        *("habe", "hatte", "wurde", "wenn", "falls", "können", "nicht", "sie", "du"),
        *(r"j['’]ai", "si", "vous", "pas", "he", "usé", "puedes?", "no", "usei", "se", "você", "não", "ho", "non"),
        *("если", "вы", "можно", "не", r"использовал\w*", r"вызвал\w*"),
    ),
    (
        *("했습니다", "하였습니다", "됩니다", "습니까", "수 있", "원하시", "하시면"),
        *("なら", "場合", "できま", "ました", "ません"),
        *("如果", "可以", "您", "你", "已", "不", r"了[。.]?$"),
    ),
)
"""It is over, it depends, or it is the reader's turn."""

OVER = _any(
    (
        r"(?<!when the )(?<!once the )(?<!until the )(?<!if the )"
        r"(?:task|work|job|implementation|everything) (?:is|has been) (?:now |all |fully |successfully )*"
        r"(?:done|complete|completed|finished)",
        r"nothing (?:more|else|left) to (?:do|change)",
        r"no further (?:action|changes?|work)(?: (?:is|are))? (?:needed|required|necessary)",
        r"i(?: a|['’])m (?:stuck|unable to (?:continue|proceed|go on|make progress|complete))",
        r"i give up",
        r"i (?:can(?:no|['’])t|could not|couldn['’]t) (?:continue|proceed|go on|make (?:any )?progress)",
        *("ich komme nicht weiter", "ich kann nicht (?:weitermachen|fortfahren)"),
        *("die aufgabe ist (?:erledigt|abgeschlossen|fertig)", "la tâche est (?:terminée|accomplie)"),
        *("je ne peux pas continuer", "la tarea está (?:completa|completada|terminada)", "no puedo continuar"),
        *("a tarefa está (?:concluída|completa)", "não posso continuar", "задача (?:выполнена|завершена)"),
    ),
    (
        *(r"작업[이은] (?:모두 )?완료", "더 이상 진행할 수 없"),
        *("タスクは(?:完了|終了)", "これ以上(?:続け|進め)られません"),
        *("任务已经?(?:全部)?完成", "无法继续"),
    ),
)
"""All is done, or nothing more can be."""

_ACT = (
    "(?:take|have) a(?:nother)?(?: closer| quick)? look|look (?:at|into|for)|read|check|inspect|examine|open|search"
    "|list|explore|find|locate|run|rerun|re-run|execute|test|verify|fix|edit|modify|change|update|create|write|add|implement"
    "|refactor|rewrite|start|begin|proceed|continue"
)
NEXT_STEP = re.compile(
    r"(?:(?:now|next|first|then|also|so|sure|great|good|alright|ok(?:ay)?)[,!:]? )*"
    r"(?:let me|let['’]s|i['’]ll|i will|i(?:['’]m| am) (?:now )?(?:going|about) to|i (?:now )?(?:need|have) to)"
    rf"(?: (?:now|first|then|also|next|just|quickly|start by|begin by))* (?:{_ACT})(?!\w)"
    r"|(?:好的?|现在|接下来|首先|下一步)*[，,：]?\s*(?:让我|我(?:现在)?(?:将|会|来|先|要))(?:先|来|再)*"
    r"(?:看|查|读|运行|执行|修|编辑|创建|写|添加|搜|检|打开|更新|实现|测试)"
    r"|.*(?:읽|확인|실행|수정|작성|추가|살펴|검색|찾|열|생성|만들|고[치쳐]|변경|구현|테스트|업데이트|분석|진행|시작)"
    r"[가-힣]*\s?(?:겠습니다|[할볼을]게요)[.!]?$",
    re.IGNORECASE,
)
"""How a sentence begins with which somebody says what they do next, as an agent does it with a tool."""
