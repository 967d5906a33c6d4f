// What is wrong with a page as it is shown: a list of faults in words.
() => {
  const faults = [];
  const wide = document.documentElement;
  if (wide.scrollWidth > wide.clientWidth) faults.push(`wider than the window: ${wide.scrollWidth} > ${wide.clientWidth}`);
  const seen = (one) => one.checkVisibility({visibilityProperty: true, opacityProperty: true}) && one.getClientRects().length;
  const textRects = (text) => {
    const range = document.createRange();
    range.selectNodeContents(text);
    return [...range.getClientRects()].filter((line) => line.width > 1);
  };
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const box = walker.currentNode.parentElement;
    if (!walker.currentNode.data.trim() || !seen(box) || box.closest('option,title')) continue;
    let size = parseFloat(getComputedStyle(box).fontSize);
    const matrix = box.getScreenCTM?.();
    if (matrix) size *= Math.min(Math.hypot(matrix.a, matrix.b), Math.hypot(matrix.c, matrix.d));
    const lines = [...textRects(walker.currentNode)];
    if (lines.length > 3 && Math.max(...lines.map((line) => line.width)) < 3.5 * size) {
      faults.push(`a column narrower than its words (${lines.length} lines): ${walker.currentNode.data.trim().slice(0, 40)}`);
    }
    if (size < 12) faults.push(`text of ${size} px: ${walker.currentNode.data.trim().slice(0, 40)}`);
  }
  for (const one of document.querySelectorAll('a[href],button,input:not([type=hidden]),select,textarea,summary')) {
    if (!seen(one) || one.closest('p,.text') || one.matches('.skip')) continue; // a link in a sentence is exempt: WCAG 2.5.8
    const {width, height} = one.getBoundingClientRect();
    if (width < 24 || height < 24) faults.push(`a target of ${Math.round(width)}x${Math.round(height)}: ${one.outerHTML.slice(0, 90)}`);
  }
  for (const one of document.querySelectorAll('[data-live]')) {
    const from = one.getAttribute('hx-get');
    if (from !== null && !from.startsWith('/console')) faults.push(`updates itself from ${from}, which is no page of the console`);
  }
  const footer = document.querySelector('footer');
  if (!footer || !seen(footer)) faults.push('the footer is not there: something was cut off');
  const ids = [...document.querySelectorAll('[id]')].map((one) => one.id);
  for (const id of new Set(ids.filter((one, at) => ids.indexOf(one) !== at))) faults.push(`an id twice: ${id}`);
  if (document.querySelectorAll('h1').length !== 1) faults.push('not exactly one h1');
  return faults;
}
